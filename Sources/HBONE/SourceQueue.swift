/// A queue in which the sources take turns: who brings a thousand waits behind his own thousand, and nobody else does.
struct SourceQueue<Element> {
    private var ring: [HandshakeSource] = []
    private var waiting: [HandshakeSource: [Element]] = [:]

    var isEmpty: Bool { ring.isEmpty }

    mutating func append(_ element: Element, from source: HandshakeSource) {
        if waiting[source] == nil { ring.append(source) }
        waiting[source, default: []].append(element)
    }

    /// The first of the source whose turn it is; nil when nothing waits.
    mutating func popFirst() -> Element? {
        guard !ring.isEmpty else { return nil }
        // Moves a few kilobytes at most: the listeners' backlogs bound what waits, and a step costs far more.
        let source = ring.removeFirst()
        guard var own = waiting.removeValue(forKey: source), !own.isEmpty else { return popFirst() }
        let element = own.removeFirst()
        if !own.isEmpty {
            waiting[source] = own
            ring.append(source)
        }
        return element
    }
}
