using System.Security.Authentication;

namespace Hub.Protocol;

/// <summary>What is wrong with how a hub was dialled, where the causes of a failed call show it: trying again does not help.</summary>
public static class TransportFault
{
    // INADEQUATE_SECURITY of RFC 9113, 7: what a hub that speaks TLS answers to clear text.
    private const long InadequateSecurity = 0xc;

    /// <summary>The fault in words, to be put after the address; null if it is none of this kind.</summary>
    public static string? Explain(Exception? failure)
    {
        for (var e = failure; e is not null; e = e.InnerException)
        {
            switch (e)
            {
                case UntrustedHubException:
                    return e.Message;
                case HttpProtocolException { ErrorCode: InadequateSecurity }:
                    return "it speaks TLS there; write the address with https://";
                case AuthenticationException { InnerException: null }:
                    return $"TLS does not come about there ({e.Message.TrimEnd('.')}); if the hub speaks clear text leave https:// out";
                default:
                    continue;
            }
        }

        return null;
    }
}
