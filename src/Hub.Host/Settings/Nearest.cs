namespace Hub.Host.Settings;

/// <summary>Finds the known name somebody probably meant.</summary>
internal static class Nearest
{
    /// <summary>', did you mean …?' if a known name is near enough, otherwise nothing.</summary>
    public static string Hint(string name, IEnumerable<string> known)
    {
        var (best, distance) = known.Select(k => (Name: k, Distance: Levenshtein(name, k))).MinBy(k => k.Distance);
        return best is not null && distance <= Math.Max(3, name.Length / 3) ? $", did you mean {best}?" : "";
    }

    private static int Levenshtein(string a, string b)
    {
        var previous = Enumerable.Range(0, b.Length + 1).ToArray();
        var current = new int[b.Length + 1];
        for (var i = 1; i <= a.Length; i++)
        {
            current[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var replace = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                current[j] = Math.Min(replace, Math.Min(previous[j], current[j - 1]) + 1);
            }

            (previous, current) = (current, previous);
        }

        return previous[b.Length];
    }
}
