using Hub.Host.Services;

namespace Hub.Host.Hosting;

/// <summary>The server's table of contents: one line a concern.</summary>
public static class HubApplication
{
    /// <summary>Makes the server; nothing runs yet.</summary>
    public static WebApplication Build(HubStart start)
    {
        var settings = start.Bound.Settings;
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        // The hub's settings are its own; files and variables of the web framework do not reach it.
        builder.Configuration.Sources.Clear();

        builder
            .AddHubLogging(settings.Host)
            .AddHubCore(settings, TimeProvider.System)
            .AddHubAuth(start.AdminToken)
            .AddHubListeners(settings.Host, start.Tls)
            .AddCertificateWatch(start)
            .AddHubServices()
            .AddHubActors(start)
            .AddLocalNode();

        var app = builder.Build();
        app.Use(Greeting.OnCallAsync);
        app.UseHostFiltering();
        return app
            .UseErrorDetails()
            .MapHubHealth()
            .MapHubServices();
    }
}
