using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Hub.Host.Services;
using Hub.Protocol;

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
    public void A_cursor_of_events_is_short()
    {
        Requests.EventCursor("resume_token", new string('a', 128));
        Refused("resume_token", () => Requests.EventCursor("resume_token", new string('a', 129)));
    }

    private static void Refused(string field, Action check)
    {
        var failure = Should.Throw<RpcException>(check);
        (failure.StatusCode, HubErrors.ReasonOf(failure)).ShouldBe((StatusCode.InvalidArgument, ErrorReasons.InvalidField));
        failure.Status.Detail.ShouldStartWith(field);
    }
}
