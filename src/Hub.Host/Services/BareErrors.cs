using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using Hub.Protocol;
using Microsoft.AspNetCore.Http.Features;
using GrpcStatus = Google.Rpc.Status;

namespace Hub.Host.Services;

/// <summary>
/// What gRPC itself refuses, before or beneath a handler (a message that is too large, an unknown method, bytes that are no
/// message), ends with a bare status. It gets its <c>ErrorInfo</c> here, after the call and before its trailers leave. Not so
/// what the caller ended itself: CANCELLED, and DEADLINE_EXCEEDED, whose trailers have left by then.
/// </summary>
internal static class BareErrors
{
    private const string Details = "grpc-status-details-bin";

    /// <summary>Adds it; before the gRPC services are mapped.</summary>
    public static WebApplication UseErrorDetails(this WebApplication app)
    {
        app.Use(static async (http, next) =>
        {
            await next(http).ConfigureAwait(false);
            Complete(http);
        });
        return app;
    }

    private static void Complete(HttpContext http)
    {
        // An answer without messages carries its status in the headers.
        var trailers = http.Response.HasStarted ? http.Features.Get<IHttpResponseTrailersFeature>()?.Trailers : http.Response.Headers;
        if (trailers is not { IsReadOnly: false } || trailers.ContainsKey(Details)
            || !int.TryParse(trailers["grpc-status"], out var code) || ReasonOf((StatusCode)code) is not { } reason)
            return;
        var info = new ErrorInfo { Reason = reason, Domain = ErrorReasons.Domain };
        if (reason == ErrorReasons.LimitReached)
            info.Metadata["limit"] = "akkahub.grpc.max-message";
        var status = new GrpcStatus { Code = code, Message = Uri.UnescapeDataString(trailers["grpc-message"].ToString()), Details = { Any.Pack(info) } };
        trailers[Details] = Convert.ToBase64String(status.ToByteArray());
    }

    private static string? ReasonOf(StatusCode code) => code switch
    {
        StatusCode.OK or StatusCode.Cancelled or StatusCode.DeadlineExceeded => null,
        StatusCode.ResourceExhausted => ErrorReasons.LimitReached,
        StatusCode.Unimplemented => ErrorReasons.MethodUnknown,
        StatusCode.Unknown => ErrorReasons.Internal,
        _ => ErrorReasons.ProtocolError,
    };
}
