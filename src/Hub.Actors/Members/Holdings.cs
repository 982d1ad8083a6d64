namespace Hub.Actors.Members;

/// <summary>Counts what this member holds of the registry, for the member list. Thread-safe.</summary>
public sealed class Holdings
{
    private readonly Lock _gate = new();
    private int _partitions;
    private int _nodes;
    private TaskCompletionSource? _empty;

    /// <summary>Partitions that run here.</summary>
    public int Partitions => Volatile.Read(ref _partitions);

    /// <summary>Nodes these know, connected or not.</summary>
    public int Nodes => Volatile.Read(ref _nodes);

    /// <summary>A partition began (1) or ended (-1).</summary>
    public void AddPartitions(int delta)
    {
        lock (_gate)
        {
            if ((_partitions += delta) > 0)
                return;
            _empty?.TrySetResult();
            _empty = null;
        }
    }

    /// <summary>Completes when no partition runs here.</summary>
    public Task WhenNoPartitionsAsync()
    {
        lock (_gate)
            return _partitions == 0 ? Task.CompletedTask : (_empty ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
    }

    /// <summary>Nodes came into the list, or left it.</summary>
    public void AddNodes(int delta) => Interlocked.Add(ref _nodes, delta);
}
