/// What all workers of a node share beside their mailboxes; safe from any thread.
struct NodeServices: Sendable {
    let counters = NodeCounters()
    let resolver = HostnameResolver()
    let memory: MemoryAccounts

    init(_ settings: NodeSettings) {
        memory = MemoryAccounts(settings)
    }
}
