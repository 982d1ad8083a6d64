using Hub.Node.Tests.Uplink;
using Hub.Protocol;

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

    [Fact]
    public async Task Detached_it_keeps_nothing_open_of_whoever_started_it()
    {
        await using var agent = AgentProgram.Start("exec \"$@\" 9>&2", AgentProgram.NewState(), "--hub", "127.0.0.1:1", "--detach");
        await agent.Process.WaitForExitAsync().WaitAsync(AgentProgram.Patience);
        agent.Process.ExitCode.ShouldBe(0);
        var presence = AgentPresence.Inspect(agent.State);
        // Both pipes are at their end although the agent runs: nobody holds them any more.
        (await agent.Process.StandardError.ReadToEndAsync().WaitAsync(AgentProgram.Patience)).ShouldBe($"The node agent runs as process {presence.Pid}.\n");
        (await agent.Process.StandardOutput.ReadToEndAsync().WaitAsync(AgentProgram.Patience)).ShouldBeEmpty();
        presence.IsRunning.ShouldBeTrue();
        presence.Pid.ShouldNotBe(agent.Process.Id);
    }

    [Fact]
    public async Task Detached_it_does_not_pass_for_started_when_it_was_not()
    {
        var state = AgentProgram.NewState();
        await File.WriteAllTextAsync(Path.Combine(state, "claim.key"), "short");
        await using var agent = AgentProgram.Start("exec \"$@\"", state, "--hub", "127.0.0.1:1", "--detach");
        (await agent.Process.StandardError.ReadToEndAsync().WaitAsync(AgentProgram.Patience)).ShouldContain("ended at once, with code 1");
        await agent.Process.WaitForExitAsync().WaitAsync(AgentProgram.Patience);
        agent.Process.ExitCode.ShouldBe(1);
        (await File.ReadAllTextAsync(Path.Combine(state, "agent.log"))).ShouldContain("must hold 32 bytes");
    }
}
