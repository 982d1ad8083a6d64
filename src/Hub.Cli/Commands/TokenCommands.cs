using System.CommandLine;
using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Hub.Cli.Connection;
using Hub.Cli.Output;
using Command = System.CommandLine.Command;

namespace Hub.Cli.Commands;

/// <summary><c>hub token …</c>.</summary>
internal static class TokenCommands
{
    private static readonly string[] Headings = ["ID", "TYPE", "AGE", "EXPIRES", "DESCRIPTION"];

    /// <summary>The command with its subcommands.</summary>
    public static Command Create(Bind bind)
    {
        var token = new Command("token", "Make, list and revoke tokens of nodes and clients");
        token.Add(Make(bind));
        token.Add(List(bind));
        token.Add(Revoke(bind));
        return token;
    }

    private static Command Make(Bind bind)
    {
        var type = new Option<string>("--type") { Description = "For whom: node or client", HelpName = "TYPE", Required = true };
        type.AcceptOnlyFromAmong("node", "client");
        var ttl = Arguments.Duration("--ttl", "How long it is valid, such as 30d [default: for ever]");
        var description = new Option<string>("--description") { Description = "What it is for, at most 255 characters", HelpName = "TEXT" };
        description.Validators.Add(r => Arguments.Check(r, t => t!.Length <= 255, "is longer than 255 characters"));
        var output = Arguments.Output("table", "json", "yaml", "name");
        output.Description = "Form of the output: table, json, yaml, or name for the secret alone";
        var command = new Command("create", "Make a token; its secret is shown now and never again") { type, ttl, description, output };
        bind(command, async run =>
        {
            var request = new CreateTokenRequest
            {
                Type = run.Get(type) == "node" ? TokenType.Node : TokenType.Client,
                Ttl = run.Get(ttl) is { } span ? Duration.FromTimeSpan(span) : null,
                Description = run.Get(description) ?? "",
            };
            var made = await run.Hub.CallAsync((c, o) => c.CreateTokenAsync(request, o), Repeat.AtMostOnce, run.Cancellation).ConfigureAwait(false);
            switch (run.Get(output))
            {
                case "name":
                    await run.WriteAsync(made.Secret + "\n").ConfigureAwait(false);
                    break;
                case "json":
                    await run.WriteAsync(Json.Document(TokenDocument.From(made.Token, made.Secret))).ConfigureAwait(false);
                    break;
                case "yaml":
                    await run.WriteAsync(Json.Yaml(TokenDocument.From(made.Token, made.Secret))).ConfigureAwait(false);
                    break;
                default:
                    await run.WriteAsync(Tables.Render(
                        ["ID", "TYPE", "EXPIRES", "SECRET"],
                        [[made.Token.Id, Json.Word(made.Token.Type), Expires(made.Token), made.Secret]], run.Environment.Color)).ConfigureAwait(false);
                    run.Environment.Note("keep the secret: it is not shown again");
                    break;
            }

            return ExitCodes.Success;
        });
        return command;
    }

    private static Command List(Bind bind)
    {
        var output = Arguments.Output("table", "json", "yaml", "name");
        var command = new Command("list", "List tokens, oldest first, without their secrets") { output };
        bind(command, async run =>
        {
            var answer = await run.Hub.CallAsync((c, o) => c.ListTokensAsync(new ListTokensRequest(), o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
            var document = new TokensDocument([.. answer.Tokens.Select(t => TokenDocument.From(t))]);
            switch (run.Get(output))
            {
                case "name":
                    await run.WriteAsync(string.Concat(document.Tokens.Select(t => TextSanitizer.Line(t.Id) + "\n"))).ConfigureAwait(false);
                    break;
                case "json":
                    await run.WriteAsync(Json.Document(document)).ConfigureAwait(false);
                    break;
                case "yaml":
                    await run.WriteAsync(Json.Yaml(document)).ConfigureAwait(false);
                    break;
                default:
                    await run.WriteTableAsync(
                        Headings,
                        [.. answer.Tokens.Select(t => (Cell[])[t.Id, Json.Word(t.Type), Humanize.Age(t.CreateTime, run.Environment.Time), Expires(t), t.Description])],
                        "no tokens").ConfigureAwait(false);
                    break;
            }

            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Revoke(Bind bind)
    {
        var id = new Argument<string>("ID") { Description = "Id of a token, see 'hub token list'" };
        var command = new Command("revoke", "Revoke a token; what is connected with it ends") { id };
        bind(command, async run =>
        {
            await run.Hub.CallAsync((c, o) => c.RevokeTokenAsync(new RevokeTokenRequest { Id = run.Get(id)! }, o), Repeat.AtMostOnce, run.Cancellation).ConfigureAwait(false);
            run.Environment.Note($"token {run.Get(id)} is revoked");
            return ExitCodes.Success;
        });
        return command;
    }

    private static string Expires(Token t) => t.ExpireTime is null ? "never" : Json.Time(t.ExpireTime)!;
}
