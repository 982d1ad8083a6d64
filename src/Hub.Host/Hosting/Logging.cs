using Hub.Host.Settings;
using Serilog;
using Serilog.Events;
using Serilog.Formatting.Compact;

namespace Hub.Host.Hosting;

/// <summary>Where log lines go: standard error, as text or JSON. Standard output is for what a person or a script asked for.</summary>
internal static class Logging
{
    private const string Template = "{Timestamp:yyyy-MM-dd HH:mm:ss.fff} {Level:u3} {SourceContext}: {Message:lj}{NewLine}{Exception}";

    /// <summary>Adds the logger.</summary>
    public static WebApplicationBuilder AddHubLogging(this WebApplicationBuilder builder, HostSettings settings)
    {
        builder.Services.AddSerilog((_, configuration) =>
        {
            configuration.MinimumLevel.Is(settings.LogLevel switch
            {
                HubLogLevel.Debug => LogEventLevel.Debug,
                HubLogLevel.Information => LogEventLevel.Information,
                HubLogLevel.Warning => LogEventLevel.Warning,
                _ => LogEventLevel.Error,
            });
            // The frameworks tell of each call and connection; a hub has too many for that, at any level.
            foreach (var source in (string[])["Microsoft", "System", "Grpc"])
                configuration.MinimumLevel.Override(source, LogEventLevel.Warning);
            // This one keeps an activity and a scope for each call as long as it may log anything, and has nothing to say: what fails in
            // a call is logged where it fails.
            configuration.MinimumLevel.Override("Microsoft.AspNetCore.Hosting.Diagnostics", LevelAlias.Off);
            // And this one of each connection beyond akkahub.max-connections, of which there can be any number.
            configuration.MinimumLevel.Override("Microsoft.AspNetCore.Server.Kestrel.Connections", LogEventLevel.Error);
            configuration.Enrich.FromLogContext();
            if (settings.LogFormat == HubLogFormat.Json)
                configuration.WriteTo.Console(new RenderedCompactJsonFormatter(), standardErrorFromLevel: LogEventLevel.Verbose);
            else
                configuration.WriteTo.Console(outputTemplate: Template, formatProvider: null, standardErrorFromLevel: LogEventLevel.Verbose);
        }, preserveStaticLogger: true);
        return builder;
    }
}
