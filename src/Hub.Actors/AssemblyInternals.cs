using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Hub.Actors.Tests")]
