namespace Hub.Protocol;

/// <summary>The reasons that stand in <c>ErrorInfo.reason</c> of a failed call; <c>ErrorInfo.domain</c> is <see cref="Domain"/>.</summary>
public static class ErrorReasons
{
    /// <summary>Domain of every reason.</summary>
    public const string Domain = "akkahub";

    /// <summary>INVALID_ARGUMENT: a field is missing, malformed or out of its bounds; the metadata's <c>field</c> names it.</summary>
    public const string InvalidField = "INVALID_FIELD";
    /// <summary>UNAUTHENTICATED: no token, or one the hub does not know (any more).</summary>
    public const string TokenInvalid = "TOKEN_INVALID";
    /// <summary>PERMISSION_DENIED: the token's type does not allow this call.</summary>
    public const string NotAllowed = "NOT_ALLOWED";
    /// <summary>PERMISSION_DENIED: another machine claimed this node name.</summary>
    public const string NameClaimed = "NAME_CLAIMED";
    /// <summary>ALREADY_EXISTS: another live instance of the agent holds this name; take-over would end it.</summary>
    public const string NodeLive = "NODE_LIVE";
    /// <summary>UNAVAILABLE: the hub is starting, stopping or holding back a burst; RetryInfo says when to come back.</summary>
    public const string NotReady = "NOT_READY";
    /// <summary>UNAVAILABLE: the store does not answer, or the node's actor is recovering.</summary>
    public const string StoreUnavailable = "STORE_UNAVAILABLE";
    /// <summary>NOT_FOUND: no node of this name is known. ABORTED: the node was forgotten while its stream attached.</summary>
    public const string NodeUnknown = "NODE_UNKNOWN";
    /// <summary>UNAVAILABLE: the node has no session now.</summary>
    public const string NodeOffline = "NODE_OFFLINE";
    /// <summary>FAILED_PRECONDITION: the node drains and takes no new work.</summary>
    public const string NodeDraining = "NODE_DRAINING";
    /// <summary>FAILED_PRECONDITION: the node is connected; force would end its session.</summary>
    public const string NodeConnected = "NODE_CONNECTED";
    /// <summary>PERMISSION_DENIED: the agent was started without the capability this needs.</summary>
    public const string CapabilityMissing = "CAPABILITY_MISSING";
    /// <summary>NOT_FOUND: the node has no terminal of this name.</summary>
    public const string TerminalUnknown = "TERMINAL_UNKNOWN";
    /// <summary>FAILED_PRECONDITION: the terminal has ended.</summary>
    public const string TerminalClosed = "TERMINAL_CLOSED";
    /// <summary>NOT_FOUND: the node has no record of this command.</summary>
    public const string CommandUnknown = "COMMAND_UNKNOWN";
    /// <summary>FAILED_PRECONDITION: the command has not ended.</summary>
    public const string CommandRunning = "COMMAND_RUNNING";
    /// <summary>ALREADY_EXISTS: this request_id was used for another command.</summary>
    public const string RequestIdReused = "REQUEST_ID_REUSED";
    /// <summary>
    /// RESOURCE_EXHAUSTED: a limit is reached; the metadata's <c>limit</c> names the hub's setting. Without it the limit is the
    /// node's own, and the message says which.
    /// </summary>
    public const string LimitReached = "LIMIT_REACHED";
    /// <summary>ABORTED: the connection broke before the node answered; what was asked may or may not have been done.</summary>
    public const string DeliveryUnknown = "DELIVERY_UNKNOWN";
    /// <summary>OUT_OF_RANGE: the cursor's place is gone; the metadata's <c>first_available_cursor</c> names the first that is left.</summary>
    public const string CursorTooOld = "CURSOR_TOO_OLD";
    /// <summary>FAILED_PRECONDITION: the node could not do it; the message says why.</summary>
    public const string NodeRefused = "NODE_REFUSED";
    /// <summary>INTERNAL: a fault of the hub's own; its log says more. What was asked may or may not have been done.</summary>
    public const string Internal = "INTERNAL";
    /// <summary>NOT_FOUND: no token of this id.</summary>
    public const string TokenUnknown = "TOKEN_UNKNOWN";
    /// <summary>
    /// FAILED_PRECONDITION: the node broke the bridge's protocol. DEADLINE_EXCEEDED: it did not say hello in time. INTERNAL: what
    /// came is no gRPC message.
    /// </summary>
    public const string ProtocolError = "PROTOCOL_ERROR";
    /// <summary>UNIMPLEMENTED: the hub has no such method, or does not know the message's compression.</summary>
    public const string MethodUnknown = "METHOD_UNKNOWN";
    /// <summary>NOT_FOUND: no member of this address; the message names those there are.</summary>
    public const string MemberUnknown = "MEMBER_UNKNOWN";
    /// <summary>FAILED_PRECONDITION: the member can be reached; force would mark it as gone all the same.</summary>
    public const string MemberReachable = "MEMBER_REACHABLE";
    /// <summary>FAILED_PRECONDITION: the member cannot be asked to leave: it does not answer, or its build does not know how.</summary>
    public const string MemberUnreachable = "MEMBER_UNREACHABLE";
    /// <summary>ABORTED: a newer session of this node took over.</summary>
    public const string Fenced = "FENCED";
}
