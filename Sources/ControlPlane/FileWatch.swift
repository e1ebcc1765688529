package import TLS

/// Decides when a watched file is to be read again; told what `stat` says, it never touches the file itself.
///
/// A changed file is read only when two looks in a row found it the same, so that a half-written one is not taken for
/// good. A file read within a tick of its last change is read once more: a second change in that tick would not show.
package struct FileWatch: Sendable {
    /// What to do about the file now.
    package enum Action: Hashable, Sendable {
        /// Nothing changed.
        case wait
        /// It is changing; look again soon.
        case settle
        /// Read it.
        case read
        /// There is none.
        case missing
    }

    /// The version read last.
    private var known: FileVersion?
    /// A version seen once and not read yet.
    private var pending: FileVersion?
    private var readAgain = false
    private var isFirst = true

    /// Within this many nanoseconds two changes of a file may carry the same time.
    static let tick: Int64 = 50_000_000

    package init() {}

    /// Takes what the path leads to now.
    package mutating func onLook(_ version: FileVersion?) -> Action {
        guard let version else {
            pending = nil
            return .missing
        }
        if version == known {
            pending = nil
            return readAgain ? .read : .wait
        }
        // Before anything was loaded there is nothing to protect: whoever starts us has written the file.
        if isFirst || version == pending { return .read }
        pending = version
        return .settle
    }

    /// Takes that the version was read, at a moment in nanoseconds of the Unix epoch.
    package mutating func onRead(_ version: FileVersion, now: Int64) {
        readAgain = now - version.changed < Self.tick && !(readAgain && version == known)
        known = version
        pending = nil
        isFirst = false
    }
}
