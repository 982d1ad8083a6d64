using System.Diagnostics;
using Akka.Actor;
using Google.Protobuf;
using Hub.Load.Nodes;

namespace Hub.Load.Baselines;

/// <summary>How fast actors are with nothing around them: a tell and an acknowledgement per chunk, in one process.</summary>
internal static class RawActors
{
    /// <summary>A closed loop over many actors, each with so many chunks under way. Gives acknowledgements a second.</summary>
    public static async Task<double> RunAsync(int actors, int inFlight, int chunkBytes, TimeSpan duration)
    {
        var system = ActorSystem.Create("raw", "akka.loglevel = WARNING, akka.stdout-loglevel = WARNING");
        try
        {
            long acknowledged = 0;
            var stopped = false;
            var refs = new IActorRef[actors];
            for (var i = 0; i < actors; i++)
            {
                var index = i;
                refs[index] = system.ActorOf(AckActor.Props(offset =>
                {
                    Interlocked.Increment(ref acknowledged);
                    if (!Volatile.Read(ref stopped))
                        refs[index].Tell(new AckActor.Chunk(offset, Pattern.Slice(offset, chunkBytes)), ActorRefs.NoSender);
                }));
            }

            foreach (var actor in refs)
            {
                for (var i = 0; i < inFlight; i++)
                    actor.Tell(new AckActor.Chunk(0, Pattern.Slice(0, chunkBytes)), ActorRefs.NoSender);
            }

            await Task.Delay(TimeSpan.FromSeconds(1)).ConfigureAwait(false);
            var before = Volatile.Read(ref acknowledged);
            var watch = Stopwatch.StartNew();
            await Task.Delay(duration).ConfigureAwait(false);
            var rate = (Volatile.Read(ref acknowledged) - before) / watch.Elapsed.TotalSeconds;
            Volatile.Write(ref stopped, true);
            return rate;
        }
        finally
        {
            await system.Terminate().ConfigureAwait(false);
        }
    }
}
