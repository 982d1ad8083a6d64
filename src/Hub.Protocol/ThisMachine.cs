using System.Security.Cryptography;
using System.Text;

namespace Hub.Protocol;

/// <summary>Tells whether two processes mean the same by a loopback address.</summary>
public static class ThisMachine
{
    /// <summary>
    /// The same for all processes that share this one's loopback addresses, and for no others: a hash (64 hex digits) of the operating
    /// system's boot id and the network namespace. Empty where the system does not tell them.
    /// </summary>
    public static string Id { get; } = Read();

    private static string Read()
    {
        try
        {
            var boot = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
            // Containers of one machine share its boot id, but not its loopback device.
            var network = new FileInfo("/proc/self/ns/net").LinkTarget;
            return boot.Length == 0 || string.IsNullOrEmpty(network)
                ? ""
                : Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"akkahub machine {boot} {network}")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
