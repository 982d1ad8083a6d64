using System.Collections.Concurrent;
using Akka.Actor;
using Akka.Configuration;
using Akka.Event;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.History;
using Hub.Actors.Settings;
using Hub.Actors.Telemetry;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Hub.Actors.Tests.Actors;

/// <summary>
/// An actor system without a cluster: in-memory journal behind a gate, the hub's serializer for every message that may cross
/// members, and one clock for the scheduler and for <see cref="HubRuntime"/> that moves only by <see cref="Advance"/>. An error
/// that is logged and was not allowed fails the spec.
/// </summary>
public abstract class ActorSpec : TestKit
{
    protected static readonly TimeSpan Bound = TimeSpan.FromSeconds(20);
    protected static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(150);

    private static readonly Config Setup = ConfigurationFactory.ParseString($$"""
        akka {
          loglevel = ERROR
          stdout-loglevel = OFF
          scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit"
          test.single-expect-default = 20s
          test.default-timeout = 20s
          actor.ask-timeout = 20s
          persistence {
            journal {
              plugin = "akka.persistence.journal.gated"
              gated {
                class = "{{typeof(GatedJournal).AssemblyQualifiedName}}"
                plugin-dispatcher = "akka.actor.default-dispatcher"
                circuit-breaker { max-failures = 1000, call-timeout = 1h, reset-timeout = 1s }
                recovery-event-timeout = 1h
              }
            }
            snapshot-store {
              plugin = "akka.persistence.snapshot-store.gated"
              gated {
                class = "{{typeof(GatedSnapshotStore).AssemblyQualifiedName}}"
                plugin-dispatcher = "akka.actor.default-dispatcher"
                circuit-breaker { max-failures = 1000, call-timeout = 1h, reset-timeout = 1s }
              }
            }
          }
        }
        """).WithFallback(HubActors.SerializationConfig);

    private readonly ConcurrentQueue<string> _errors = new();
    private bool _errorsAllowed;

    protected ActorSpec(HubSettings? settings = null, Config? config = null)
        : base((config ?? Config.Empty).WithFallback(Setup))
    {
        Hub = new HubRuntime(settings ?? new HubSettings(), new HubMetrics(), new Readiness(), Time, NullLogger.Instance);
        Sys.EventStream.Subscribe(Sys.ActorOf(Props.Create(() => new ErrorCollector(_errors))), typeof(Error));
    }

    protected SteppedTime Time { get; } = new(new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero));

    protected HubRuntime Hub { get; }

    protected JournalGate Journal => JournalGate.Of(Sys);

    /// <summary>For specs in which a store fails on purpose.</summary>
    protected void AllowErrors() => _errorsAllowed = true;

    /// <summary>Moves both clocks, in steps so that timers armed on the way run too.</summary>
    protected void Advance(TimeSpan by)
    {
        var step = TimeSpan.FromTicks(Math.Max(TimeSpan.TicksPerSecond, by.Ticks / 200));
        for (var left = by; left > TimeSpan.Zero; left -= step)
        {
            var now = left < step ? left : step;
            Time.Advance(now);
            ((TestScheduler)Sys.Scheduler).Advance(now);
        }
    }

    /// <summary>Moves the clocks bit by bit until something arrives that matches; what the last step set off has <see cref="Bound"/> to arrive.</summary>
    protected T AdvanceUntil<T>(TestProbe probe, TimeSpan step, int most, Predicate<T>? matches = null)
    {
        for (var i = 0; i < most; i++)
        {
            Advance(step);
            while (probe.ReceiveOne(TimeSpan.FromMilliseconds(30)) is { } message)
            {
                if (message is T found && (matches is null || matches(found)))
                    return found;
            }
        }

        return probe.FishForMessage<T>(m => matches is null || matches(m), Bound, $"No {typeof(T).Name} came within {most} steps of {step}.");
    }

    protected static ByteString Id(byte n)
    {
        var id = new byte[IncarnationId.Length];
        id[^1] = n;
        return ByteString.CopyFrom(id);
    }

    protected static IncarnationId Inc(byte n) => IncarnationId.From(Id(n));

    protected static NodeHello Hello(string name = "n1", byte key = 1, byte instance = 1, params LiveStream[] streams)
    {
        var hello = new NodeHello
        {
            Name = name,
            ClaimKey = ByteString.CopyFrom([.. Enumerable.Repeat(key, 32)]),
            InstanceId = Id(instance),
            BootId = "boot",
            AgentVersion = "1.0",
            Capabilities = { NodeCapability.Terminal, NodeCapability.Exec },
        };
        hello.Streams.Add(streams);
        return hello;
    }

    protected static LiveStream Live(string name, byte id, long end = 0, long started = 0) => new()
    {
        Name = name,
        Incarnation = Id(id),
        Kind = name.StartsWith("cmd/", StringComparison.Ordinal) ? StreamKind.Command : StreamKind.Terminal,
        EndOffset = end,
        StartedUnixUs = started,
        Size = new TerminalSize { Cols = 80, Rows = 24 },
    };

    protected static ConnectRequest Opened(string name, byte id) => new()
    {
        TerminalOpened = new TerminalOpened { Name = name, Incarnation = Id(id), Size = new TerminalSize { Cols = 80, Rows = 24 }, TimeUnixUs = 5, CommandLine = "sh" },
    };

    protected static ConnectRequest Bytes(byte id, long offset, string text, uint rewind = 0) => new()
    {
        TerminalOutput = new TerminalOutput { Incarnation = Id(id), Offset = offset, Data = ByteString.CopyFromUtf8(text), Rewind = rewind, TimeUnixUs = 7, Channel = OutputChannel.Stdout },
    };

    protected static ConnectRequest Closed(byte id, long final, int code = 0, uint rewind = 0) => new()
    {
        TerminalClosed = new TerminalClosed { Incarnation = Id(id), FinalOffset = final, Exit = new ProcessExit { Code = code }, Rewind = rewind, TimeUnixUs = 9 },
    };

    protected override void AfterAll()
    {
        Journal.Open();
        base.AfterAll();
        if (!_errorsAllowed)
            _errors.ShouldBeEmpty();
    }

    /// <summary>A clock that can be set while time goes on.</summary>
    protected sealed class SteppedTime(DateTimeOffset start) : FakeTimeProvider(start)
    {
        private long _step;

        /// <summary>Somebody sets the wall clock.</summary>
        public void StepWallClock(TimeSpan by) => Interlocked.Add(ref _step, by.Ticks);

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow().AddTicks(Interlocked.Read(ref _step));

        public override long GetTimestamp() => base.GetUtcNow().Ticks;
    }

    private sealed class ErrorCollector : UntypedActor
    {
        private readonly ConcurrentQueue<string> _errors;

        public ErrorCollector(ConcurrentQueue<string> errors) => _errors = errors;

        protected override void OnReceive(object message)
        {
            if (message is Error error)
                _errors.Enqueue($"{error.LogSource}: {error.Message} {error.Cause}");
        }
    }
}
