global using Microsoft.AspNetCore.Builder;
global using Microsoft.Extensions.DependencyInjection;
global using Microsoft.Extensions.Hosting;
global using Microsoft.Extensions.Logging;

// File modes and owners are looked at; where there are none these tests say nothing.
[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]
