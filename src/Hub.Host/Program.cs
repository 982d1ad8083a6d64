using Hub.Host;
using Hub.Host.Hosting;
using Hub.Host.Settings;

var code = await HubProgram.RunAsync(args, HubSettingsBinder.ProcessEnvironment(), Console.Out, Console.Error, HubApplication.Build);
// Whatever thread is still there after a stop in order has nothing left to do.
Environment.Exit(code);
