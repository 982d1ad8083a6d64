using System.Net;
using System.Net.Sockets;
using Grpc.Core;
using Grpc.Net.Client;

namespace Hub.Load.Nodes;

/// <summary>
/// What a node, or several, call a hub over. The connection of a node that has one of its own is made before a call needs it: a hub
/// that is not there then costs one refused attempt, as it would a node on a machine of its own, and not a dozen exceptions on
/// the processors that the hub is starting on. A shared connection is left to its channel.
/// </summary>
internal sealed class NodeConnection : IDisposable
{
    private readonly EndPoint? _hub;
    private readonly GrpcChannel _channel;
    private Socket? _made;
    private Socket? _current;

    /// <summary>Opens nothing yet.</summary>
    /// <param name="hub">Where to.</param>
    /// <param name="shared">Several nodes use it.</param>
    /// <param name="authorityFile">As in <see cref="FleetOptions.AuthorityFile"/>.</param>
    /// <param name="ofSeveral">There are other members, so this one is given up soon when it does not answer.</param>
    public NodeConnection(Uri hub, bool shared, string? authorityFile = null, bool ofSeveral = false)
    {
        if (shared)
        {
            _channel = NodeFleet.OpenChannel(hub, authorityFile: authorityFile, ofSeveral: ofSeveral);
            return;
        }

        _hub = IPAddress.TryParse(hub.Host, out var address) ? new IPEndPoint(address, hub.Port) : new DnsEndPoint(hub.Host, hub.Port);
        _channel = NodeFleet.OpenChannel(hub, (_, _) => Interlocked.Exchange(ref _made, null) is { } socket
            ? ValueTask.FromResult<Stream>(new NetworkStream(socket, ownsSocket: true))
            : ValueTask.FromException<Stream>(new IOException("the connection has ended")), authorityFile, ofSeveral);
    }

    /// <summary>Calls over the connection.</summary>
    public CallInvoker CreateCallInvoker() => _channel.CreateCallInvoker();

    /// <summary>Connects unless it is connected; null if it is now, else why not.</summary>
    public async ValueTask<SocketError?> ReachAsync()
    {
        if (_hub is null || _current is { Connected: true })
            return null;
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        var reached = new TaskCompletionSource<SocketError>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var attempt = new SocketAsyncEventArgs { RemoteEndPoint = _hub };
        attempt.Completed += (_, e) => reached.TrySetResult(e.SocketError);
        var error = socket.ConnectAsync(attempt) ? await reached.Task.ConfigureAwait(false) : attempt.SocketError;
        if (error != SocketError.Success)
        {
            socket.Dispose();
            return error;
        }

        _current = socket;
        Interlocked.Exchange(ref _made, socket)?.Dispose();
        return null;
    }

    /// <summary>Closes it.</summary>
    public void Dispose()
    {
        _channel.Dispose();
        _made?.Dispose();
    }
}
