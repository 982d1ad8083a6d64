using System.CommandLine;
using Hub.Node;

var root = new RootCommand("The AkkaHub node agent.");
NodeCommand.AddTo(root);
root.Add(NodeCommand.Create());
var parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    foreach (var error in parsed.Errors)
        Console.Error.WriteLine(error.Message);
    return ExitCodes.Usage;
}

// The agent hangs its shells up and leaves in order when told to stop; it must be given the time.
return await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
