/// The labels of Istio's TCP metrics for one kind of connection, without `response_flags`, which is known at its end.
package struct TrafficLabels: Hashable, Sendable {
    package var reporter: Reporter
    package var source = PartyLabels()
    package var destination = PartyLabels()
    /// Host name of the service that was called; empty when the call was by workload address.
    package var destinationService = ""
    package var destinationServiceNamespace = ""
    package var destinationServiceName = ""
    package var securityPolicy = SecurityPolicy.unknown
    /// Whether requests pass, which have a metric of their own: the connection counts, and is in no TCP metric.
    package var isHTTP = false

    package init(reporter: Reporter) {
        self.reporter = reporter
    }

    /// Label names and values in Istio's order, given to the body one by one.
    package func forEach(flag: ResponseFlag, _ body: (_ name: String, _ value: String) -> Void) {
        forEach(flags: flag.rawValue, body)
    }

    /// The same with flags of another kind, and an answer's status where there is one.
    package func forEach(flags: String, status: UInt16? = nil, _ body: (_ name: String, _ value: String) -> Void) {
        func give(_ name: String, _ value: String) { body(name, value.isEmpty ? "unknown" : value) }
        give("reporter", reporter.rawValue)
        give("source_workload", source.workload)
        give("source_canonical_service", source.canonicalService)
        give("source_canonical_revision", source.canonicalRevision)
        give("source_workload_namespace", source.namespace)
        give("source_principal", source.principal)
        give("source_app", source.canonicalService)
        give("source_version", source.canonicalRevision)
        give("source_cluster", source.cluster)
        give("destination_service", destinationService)
        give("destination_service_namespace", destinationServiceNamespace)
        give("destination_service_name", destinationServiceName)
        give("destination_workload", destination.workload)
        give("destination_canonical_service", destination.canonicalService)
        give("destination_canonical_revision", destination.canonicalRevision)
        give("destination_workload_namespace", destination.namespace)
        give("destination_principal", destination.principal)
        give("destination_app", destination.canonicalService)
        give("destination_version", destination.canonicalRevision)
        give("destination_cluster", destination.cluster)
        give("request_protocol", isHTTP ? "http" : "tcp")
        if let status { give("response_code", "\(status)") }
        give("response_flags", flags)
        give("connection_security_policy", securityPolicy.rawValue)
        if !source.workload.isEmpty || !destination.workload.isEmpty {
            give("source_region", source.region)
            give("source_zone", source.zone)
            give("destination_region", destination.region)
            give("destination_zone", destination.zone)
        }
    }
}
