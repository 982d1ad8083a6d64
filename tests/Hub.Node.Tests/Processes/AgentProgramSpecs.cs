using Hub.Node.Tests.Uplink;

namespace Hub.Node.Tests.Processes;

public sealed class AgentProgramSpecs
{
    [Fact]
    public async Task A_log_that_cannot_be_written_does_not_end_the_agent()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = AgentProgram.Start("exec \"$@\" 2>/dev/full", AgentProgram.NewState(), "--hub", hub.Address.ToString());
        var first = await hub.AcceptAsync();
        await first.WelcomeAsync();
        first.Cut();
        var second = await hub.AcceptAsync();
        await second.WelcomeAsync();
        await second.RunAsync("a", "true");
        (await second.NextAsync()).CommandStarted.CommandId.ShouldBe("a");
        second.End();
    }
}
