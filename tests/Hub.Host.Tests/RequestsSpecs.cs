using AkkaHub.V1;
using Google.Protobuf.Collections;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Hub.Host.Services;
using Hub.Protocol;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

public sealed class RequestsSpecs
{
    [Theory]
    [InlineData(0, -1)]
    [InlineData(0, 1_000_000_000)]
    [InlineData(-62_135_596_801, 0)]
    [InlineData(253_402_300_800, 0)]
    public void A_time_that_is_none_is_refused(long seconds, int nanos) =>
        Refused("since", () => Requests.Time("since", new Timestamp { Seconds = seconds, Nanos = nanos }));

    [Theory]
    [InlineData(-62_135_596_800, 0)]
    [InlineData(253_402_300_799, 999_999_999)]
    public void Every_time_that_passes_can_be_read(long seconds, int nanos)
    {
        var time = new Timestamp { Seconds = seconds, Nanos = nanos };
        Requests.Time("since", time);
        time.ToDateTimeOffset().ShouldBeGreaterThanOrEqualTo(DateTimeOffset.MinValue);
    }

    [Fact]
    public void The_largest_command_fits_the_least_that_a_message_may_be_limited_to()
    {
        Bind(["--set", "grpc.max-message=511KiB"]).Errors.ShouldHaveSingleItem().ShouldContain("512 KiB");
        var least = Bind(["--set", "grpc.max-message=512KiB"]).Settings.Host.MaxMessageBytes;
        var largest = new RunCommandRequest
        {
            Parent = Names.Node(new string('n', 63)),
            RequestId = new string('r', 64),
            Cwd = new string('d', StartBounds.MaxDirectoryBytes),
            Pty = new TerminalSize { Cols = 2000, Rows = 2000 },
            Timeout = new Duration { Seconds = 366 * 24 * 3600, Nanos = 1 },
        };
        for (var i = 0; i < StartBounds.MaxCommandArguments; i++)
            largest.Argv.Add(new string('a', StartBounds.MaxCommandArgumentBytes / StartBounds.MaxCommandArguments));
        for (var i = 0; i < StartBounds.MaxVariables; i++)
            largest.Env.Add($"{i:D3}", new string('v', (StartBounds.MaxVariableBytes / StartBounds.MaxVariables) - 3));
        Requests.CommandArgv("argv", largest.Argv);
        Requests.Environment(largest.Env, largest.Cwd);
        largest.CalculateSize().ShouldBeLessThan(least);
    }

    [Fact]
    public void A_cursor_of_events_has_a_greatest_length()
    {
        Requests.EventCursor("resume_token", new string('a', 32_768));
        Refused("resume_token", () => Requests.EventCursor("resume_token", new string('a', 32_769)));
    }

    [Fact]
    public void Arguments_are_counted_as_the_agent_counts_them()
    {
        Requests.TerminalArgv("argv", Argv(128, "a"));
        Refused("argv", () => Requests.TerminalArgv("argv", Argv(129, "a")));
        // Two bytes each in UTF-8.
        Requests.TerminalArgv("argv", Argv(1, new string('é', 32 * 1024)));
        Refused("argv", () => Requests.TerminalArgv("argv", Argv(1, new string('é', (32 * 1024) + 1))));
        Requests.CommandArgv("argv", Argv(1024, "a"));
        Refused("argv", () => Requests.CommandArgv("argv", Argv(1025, "a")));
        Refused("argv", () => Requests.CommandArgv("argv", []));
        Refused("argv", () => Requests.CommandArgv("argv", Argv(1, new string('é', (128 * 1024) + 1))));
        Requests.Environment(new MapField<string, string> { ["A"] = new string('é', 1000) }, new string('é', 2048));
        Refused("env", () => Requests.Environment(new MapField<string, string> { ["A"] = new string('é', 32 * 1024) }, ""));
        Refused("cwd", () => Requests.Environment([], new string('é', 2049)));
    }

    private static RepeatedField<string> Argv(int count, string each) => [.. Enumerable.Repeat(each, count)];

    private static void Refused(string field, Action check)
    {
        var failure = Should.Throw<RpcException>(check);
        (failure.StatusCode, HubErrors.ReasonOf(failure)).ShouldBe((StatusCode.InvalidArgument, ErrorReasons.InvalidField));
        failure.Status.Detail.ShouldStartWith(field);
    }
}
