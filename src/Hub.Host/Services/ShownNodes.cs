namespace Hub.Host.Services;

/// <summary>
/// Which nodes a watcher with a selector believes to be in its selection, so that it is told when one leaves it. One that goes
/// on from a token may believe anything of a node it has not been told about since. As large as the set of nodes.
/// </summary>
internal sealed class ShownNodes(bool resumed)
{
    private readonly Dictionary<string, bool> _shown = new(StringComparer.Ordinal);

    /// <summary>Notes whether a node is in the selection now; false if the watcher need not be told, for it knows that it is not.</summary>
    public bool Take(string node, bool matches)
    {
        var before = _shown.TryGetValue(node, out var shown) ? shown : resumed;
        _shown[node] = matches;
        return matches || before;
    }

    /// <summary>There is no such node any more, and the watcher is told.</summary>
    public void Forget(string node) => _shown.Remove(node);
}
