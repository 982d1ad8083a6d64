using Grpc.Core;
using Grpc.Net.Client;
using Hub.Load.Nodes;

namespace Hub.Load.Watching;

/// <summary>How watchers reach the members of a cluster.</summary>
/// <param name="Members">Their addresses.</param>
/// <param name="Token">A client's token, which all of them take.</param>
/// <param name="AuthorityFile">As in <see cref="FleetOptions.AuthorityFile"/>.</param>
internal sealed record MemberAccess(IReadOnlyList<Uri> Members, string Token, string? AuthorityFile)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    /// <summary>The token as call metadata.</summary>
    public Metadata Headers => new() { { "authorization", "Bearer " + Token } };

    /// <summary>A channel to a member with a connection of its own; the number goes round.</summary>
    public GrpcChannel OpenChannel(int member) => NodeFleet.OpenChannel(Members[member % Members.Count], authorityFile: AuthorityFile, ofSeveral: true);

    /// <summary>Waits a moment before a member is called again; at once if there is to be no next time.</summary>
    public static Task PauseAsync(CancellationToken stop) => Task.Delay(Pause, stop).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
}
