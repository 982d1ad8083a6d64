using AkkaHub.V1;

namespace Hub.Actors.History;

/// <summary>What one read of a history gave.</summary>
/// <param name="Records">The records in order, each with the cursor of the place just after it.</param>
/// <param name="Next">Where to go on; every record after it is still to be read.</param>
/// <param name="AtEnd">There was nothing more, up to the end or the bound that was asked for.</param>
/// <param name="Known">
/// The cursor's incarnation is known. If not, the records begin with a gap of unknown length, the restart mark of the oldest
/// incarnation kept and, if its beginning left the ring, the exact gap up to the oldest byte. A history without any
/// incarnation knows no cursor and gives no record.
/// </param>
public sealed record HistorySlice(IReadOnlyList<HistoryRecord> Records, HistoryCursor Next, bool AtEnd, bool Known);
