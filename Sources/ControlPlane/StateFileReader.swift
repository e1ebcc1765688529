/// Reads the text of one state file again and again; an element whose text has not changed is what it was read into before.
///
/// Where the elements stand is found by ``StateTextScan``, in files of the plain form. What it finds is believed once the
/// YAML reader has found the same: after a whole reading for all elements, later for those whose text is new. In doubt the
/// whole text is read, so that states, warnings and errors are always those of a whole reading.
package struct StateFileReader: Sendable {
    private let trustDomain: String
    private let limits: YAMLLimits
    /// The last good state.
    private var state = LocalState()
    /// What is remembered of the text it came from; nil where it is not of the plain form.
    private var memory: StateFileMemory?
    /// How many elements the YAML reader read in the last good reading.
    package private(set) var elementsRead = 0

    /// - Parameter trustDomain: of workloads that name none.
    package init(trustDomain: String, limits: YAMLLimits = YAMLLimits()) {
        self.trustDomain = trustDomain
        self.limits = limits
    }

    /// Reads the file's text; the state knows its difference from the one before where that was found on the way.
    /// - Throws: ``ConfigurationError`` with line and key; the last good state stays the one to compare with.
    package mutating func read(_ bytes: [UInt8], file: String) throws(ConfigurationError) -> LocalState {
        if bytes.count <= limits.bytes, var next = memory {
            if let state = next.read(bytes, file: file, trustDomain: trustDomain, limits: limits) {
                elementsRead = next.elementsRead
                memory = next
                self.state = state
                self.state.difference = nil
                return state
            }
        }
        return try readWhole(bytes, file: file)
    }

    private mutating func readWhole(_ bytes: [UInt8], file: String) throws(ConfigurationError) -> LocalState {
        var reading = LocalStateReading(file: file, trustDomain: trustDomain, previous: state)
        let scan = bytes.count <= limits.bytes ? bytes.withUnsafeBytes { StateTextScan($0, known: [:]) } : nil
        var places = scan.map { StateFilePlaces($0) }
        try reading.takeAll(bytes, file: file, limits: limits) { list, item in places?.confirm(item, of: list) }
        let state = reading.finish()
        elementsRead = state.workloads.count + state.services.count + state.policies.count
        memory = places.flatMap { StateFileMemory(state, $0, reading) }
        self.state = state
        return state
    }
}
