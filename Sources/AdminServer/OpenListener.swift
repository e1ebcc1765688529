package import EventLoop

/// A listener of an ``AdminServer`` that another process can go on with.
package struct OpenListener: Codable, Sendable, Hashable {
    /// `admin`, `metrics`, `readiness`, `control`, or `lock` for the file that says whose the control socket is.
    package let surface: String
    /// Its address; for the last two the control socket's path.
    package let address: String
    /// Its descriptor in the process that has it.
    package let number: Int32
}

/// A listener that came from another process; used where our own would not find its address free.
package final class InheritedListener {
    /// What it is.
    package let listener: OpenListener
    private let held: HeldDescriptor
    /// Whether a server uses it now.
    package private(set) var isTaken = false

    package init(_ listener: OpenListener, _ held: HeldDescriptor) {
        self.listener = listener
        self.held = held
    }

    /// The descriptor, for the caller to own; nil when it was taken before.
    func take() -> Int32? {
        guard let descriptor = held.take() else { return nil }
        isTaken = true
        return descriptor.release()
    }
}
