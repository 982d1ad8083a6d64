using Hub.Cli;
using Hub.Cli.Terminals;

using var surroundings = SystemSurroundings.Open();
return await HubCli.RunAsync(args, surroundings.Environment);
