// Two at a time: they wait for processes more than they compute, and this machine may have two processors.
[assembly: CollectionBehavior(MaxParallelThreads = 2)]

namespace Hub.SystemTests;

/// <summary>Specs that measure memory, threads, log lines or system calls: one at a time, after all others.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    /// <summary>The collection's name.</summary>
    public const string Name = "alone";
}
