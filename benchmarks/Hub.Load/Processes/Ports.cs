using System.Net;
using System.Net.Sockets;

namespace Hub.Load.Processes;

/// <summary>Finds free TCP ports for processes to be started.</summary>
public static class Ports
{
    // Below the range the kernel takes ports of outgoing connections from: with ten thousand of those, one of them would
    // soon sit on a port that was free a moment ago.
    private const int First = 20_000;
    private const int Last = 32_000;

    private static readonly HashSet<int> Given = [];

    /// <summary>A port of the loopback interface nobody listens on, never the same one twice in this process.</summary>
    public static int Free()
    {
        lock (Given)
        {
            for (var i = 0; i < 10_000; i++)
            {
                var port = Random.Shared.Next(First, Last);
                if (Given.Contains(port) || !IsFree(port))
                    continue;
                Given.Add(port);
                return port;
            }
        }

        throw new InvalidOperationException($"no free port from {First} to {Last}");
    }

    private static bool IsFree(int port)
    {
        try
        {
            using var listener = new TcpListener(IPAddress.Loopback, port);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
