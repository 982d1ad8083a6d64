using System.Net;
using System.Net.Sockets;
using Hub.Load.Processes;

namespace Hub.SystemTests.Harness;

/// <summary>A TCP proxy on the loopback interface whose connections can be cut, as a network would cut them.</summary>
public sealed class ConnectionCutter : IAsyncDisposable
{
    private readonly TcpListener _listener;
    private readonly int _target;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private readonly HashSet<Socket> _sockets = [];
    private readonly Task _accepting;
    private volatile bool _refusing;

    /// <summary>Listens, and forwards to a port of this machine.</summary>
    public ConnectionCutter(int targetPort)
    {
        _target = targetPort;
        Port = Ports.Free();
        _listener = new TcpListener(IPAddress.Loopback, Port);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    /// <summary>Where it listens.</summary>
    public int Port { get; }

    /// <summary>Where it listens, for gRPC.</summary>
    public Uri Address => new($"http://127.0.0.1:{Port}");

    /// <summary>Connections cut so far.</summary>
    public int CutConnections { get; private set; }

    /// <summary>Bytes forwarded from clients to the hub.</summary>
    public long BytesForwarded;

    /// <summary>Cuts every connection with a reset. New ones are let through, unless refused.</summary>
    /// <param name="refuse">Whether new connections are reset too, until the next <see cref="Mend"/>.</param>
    public void Cut(bool refuse = false)
    {
        _refusing = refuse;
        Socket[] sockets;
        lock (_gate)
        {
            sockets = [.. _sockets];
            _sockets.Clear();
        }

        CutConnections += sockets.Length / 2;
        foreach (var socket in sockets)
            Reset(socket);
    }

    /// <summary>New connections are let through again.</summary>
    public void Mend() => _refusing = false;

    /// <summary>Cuts everything and stops listening.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        Cut(refuse: true);
        await _accepting;
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        var forwarding = new List<Task>();
        try
        {
            while (true)
            {
                var client = await _listener.AcceptSocketAsync(_stop.Token);
                if (_refusing)
                    Reset(client);
                else
                    forwarding.Add(ForwardAsync(client));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // Disposed.
        }

        await Task.WhenAll(forwarding);
    }

    private async Task ForwardAsync(Socket client)
    {
        var hub = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await hub.ConnectAsync(IPAddress.Loopback, _target, _stop.Token);
            client.NoDelay = hub.NoDelay = true;
            lock (_gate)
            {
                _sockets.Add(client);
                _sockets.Add(hub);
            }

            await Task.WhenAny(CopyAsync(client, hub, count: true), CopyAsync(hub, client, count: false));
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The hub does not listen: the client sees its connection end, as without a proxy.
        }
        finally
        {
            lock (_gate)
            {
                _sockets.Remove(client);
                _sockets.Remove(hub);
            }

            Reset(client);
            Reset(hub);
        }
    }

    private async Task CopyAsync(Socket from, Socket to, bool count)
    {
        var buffer = new byte[64 * 1024];
        try
        {
            while (true)
            {
                var read = await from.ReceiveAsync(buffer, _stop.Token);
                if (read == 0)
                    return;
                if (count)
                    Interlocked.Add(ref BytesForwarded, read);
                for (var sent = 0; sent < read;)
                    sent += await to.SendAsync(buffer.AsMemory(sent, read - sent), _stop.Token);
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // One side is gone; the other follows.
        }
    }

    private static void Reset(Socket socket)
    {
        try
        {
            socket.LingerState = new LingerOption(true, 0);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Already closed.
        }

        socket.Dispose();
    }
}
