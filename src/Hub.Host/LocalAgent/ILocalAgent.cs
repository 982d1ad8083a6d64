namespace Hub.Host.LocalAgent;

/// <summary>The agent process on the local node's state directory, whichever hub process started it.</summary>
internal interface ILocalAgent
{
    /// <summary>Process id of the agent that runs; null if none runs, 0 if one runs whose id is not known.</summary>
    int? RunningPid();

    /// <summary>Starts one that outlives this process. Completes once it can be seen, which does not mean that it stays.</summary>
    /// <param name="cancellationToken">Stops waiting for it; it may come all the same.</param>
    /// <exception cref="InvalidOperationException">It could not be launched.</exception>
    Task StartAsync(CancellationToken cancellationToken);

    /// <summary>Asks it to end in order and waits; false if it still runs after that time.</summary>
    Task<bool> EndAsync(TimeSpan within, CancellationToken cancellationToken);
}
