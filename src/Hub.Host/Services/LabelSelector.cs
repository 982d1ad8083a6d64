using AkkaHub.V1;
using Hub.Protocol;

namespace Hub.Host.Services;

/// <summary>Labels a node must have: <c>key=value</c>, <c>key!=value</c>, <c>key</c>, <c>!key</c>, comma-separated.</summary>
public sealed class LabelSelector
{
    private const int MaxLength = 1024;

    private readonly List<(string Key, string? Value, bool Wanted)> _terms = [];

    private LabelSelector()
    {
    }

    /// <summary>Reads a selector; an empty one selects every node.</summary>
    /// <exception cref="Grpc.Core.RpcException">INVALID_ARGUMENT: it is not one.</exception>
    public static LabelSelector Parse(string text)
    {
        var selector = new LabelSelector();
        if (text.Length > MaxLength)
            throw HubErrors.InvalidField("label_selector", $"must be at most {MaxLength} characters");
        foreach (var term in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var at = term.IndexOf('=');
            var (key, value, wanted) = at switch
            {
                < 0 when term[0] == '!' => (term[1..], null, false),
                < 0 => (term, (string?)null, true),
                > 0 when term[at - 1] == '!' => (term[..(at - 1)], term[(at + 1)..], false),
                _ => (term[..at], term[(at + 1)..].TrimStart('='), true),
            };
            if (!Names.IsLabelKey(key))
                throw HubErrors.InvalidField("label_selector", $"'{term}' is none of key=value, key!=value, key, !key");
            selector._terms.Add((key, value, wanted));
        }

        return selector;
    }

    /// <summary>Whether a node is selected.</summary>
    public bool Matches(Node node)
    {
        foreach (var (key, value, wanted) in _terms)
        {
            var has = node.Labels.TryGetValue(key, out var actual) && (value is null || actual == value);
            if (has != wanted)
                return false;
        }

        return true;
    }
}
