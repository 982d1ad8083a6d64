using AkkaHub.V1;
using Grpc.Core;

namespace Hub.Cli.Connection;

/// <summary>
/// Keeps something that lives on a stream alive over breaks of the way to the hub: the session is begun again, at whichever
/// member answers, for up to <see cref="Limit"/> an outage. What the session holds of its own progress (a cursor) makes it
/// go on where it was.
/// </summary>
/// <param name="connection">The members.</param>
/// <param name="environment">The world.</param>
/// <param name="what">What goes on after a break, for the person.</param>
/// <param name="mayBeQuiet">A stream that is up may say nothing for long; else silence means that it is not.</param>
internal sealed class Reconnector(HubConnection connection, CliEnvironment environment, string what, bool mayBeQuiet = false)
{
    /// <summary>How long an outage may last.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    /// <summary>The longest wait before the second try.</summary>
    public static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Stable = TimeSpan.FromSeconds(10);
    // Those who lost a member at the same moment come to another one within this time.
    private static readonly TimeSpan FailOverSpread = TimeSpan.FromMilliseconds(250);

    private int _connected;

    /// <summary>Whether a session is up: it has heard from the hub and its stream has not broken.</summary>
    public bool IsUp => Volatile.Read(ref _connected) == 1;

    /// <summary>
    /// How long to wait before the next try: <paramref name="delay"/>, which doubles, or the hub's hint if that is longer; spread at
    /// random, so that not all who failed together come back together.
    /// </summary>
    public static TimeSpan Wait(RpcException e, ref TimeSpan delay)
    {
        var wait = Faults.RetryDelay(e) is { } given && given > delay ? given : delay;
        delay = delay * 2 > LongestDelay ? LongestDelay : delay * 2;
        return wait * (0.5 + (Random.Shared.NextDouble() / 2));
    }

    /// <summary>Runs the session until it returns. It calls <c>alive</c> at each message it receives.</summary>
    /// <exception cref="CliException">No member can be reached.</exception>
    /// <exception cref="RpcException">The hub refused, or the outage lasted too long.</exception>
    public async Task RunAsync(Func<HubService.HubServiceClient, Action, CancellationToken, Task> session, CancellationToken cancellation)
    {
        var everUp = false;
        var noted = false;
        var tried = 0;
        long? outage = null;
        var delay = FirstDelay;
        var heard = false;
        void Alive()
        {
            everUp = true;
            heard = true;
            tried = 0;
            outage = null;
            delay = FirstDelay;
            Volatile.Write(ref _connected, 1);
        }

        while (true)
        {
            heard = false;
            var begun = environment.Time.GetTimestamp();
            try
            {
                await session(connection.Client, Alive, cancellation).ConfigureAwait(false);
                return;
            }
            catch (RpcException e) when (!cancellation.IsCancellationRequested && Faults.IsBreak(e))
            {
                if (environment.Time.GetElapsedTime(begun) > Stable && (heard || (mayBeQuiet && !Faults.NeverReached(e))))
                {
                    // It stood for a while: this is another outage, with its own time, and to be told of anew.
                    Alive();
                    noted = false;
                }

                Volatile.Write(ref _connected, 0);
                if (!everUp && Faults.NeverReached(e) && !Faults.IsCutOff(e))
                {
                    // The first contact: every member once, without waiting.
                    if (++tried >= connection.Count)
                        throw (Exception?)Faults.Unreachable(e, connection) ?? e;
                    connection.MoveOn();
                    continue;
                }

                // Another member has done nothing yet to be waited for.
                var another = everUp && tried < connection.Count - 1;
                tried = everUp ? (tried + 1) % connection.Count : 0;
                outage ??= environment.Time.GetTimestamp();
                var starting = !everUp && Faults.IsStarting(e);
                var limit = starting ? HubConnection.StartPatience : Limit;
                if (environment.Time.GetElapsedTime(outage.Value) >= limit)
                    throw (Exception?)Faults.Unreachable(e, connection) ?? e;
                if (!noted)
                {
                    noted = true;
                    environment.Note(starting
                        ? $"the hub is starting; waiting for up to {(int)limit.TotalSeconds} s"
                        : $"the connection to the hub is lost; trying for {(int)limit.TotalSeconds} s to go on with {what}");
                }

                connection.MoveOn();
                await Task.Delay(another ? FailOverSpread * Random.Shared.NextDouble() : Wait(e, ref delay), environment.Time, cancellation).ConfigureAwait(false);
            }
        }
    }
}
