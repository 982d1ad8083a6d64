using Hub.Load;
using Hub.Load.Writing;

// The line writer shares its standard output with a terminal: the command line's machinery, which prepares terminals for
// people, stays away from it.
if (args is [LineWriter.CommandName, ..])
    return await LineWriter.RunAsync(LineWriterOptions.Parse(args[1..]), CancellationToken.None);

return await LoadCommands.Build().Parse(args).InvokeAsync();
