extension AuthorizationPolicy.Match {
    /// True when no field is set; such a match holds for no connection.
    package var isEmpty: Bool {
        namespaces.isEmpty && notNamespaces.isEmpty && serviceAccounts.isEmpty && notServiceAccounts.isEmpty
            && principals.isEmpty && notPrincipals.isEmpty && sourceIPs.isEmpty && notSourceIPs.isEmpty
            && destinationIPs.isEmpty && notDestinationIPs.isEmpty && destinationPorts.isEmpty
            && notDestinationPorts.isEmpty
    }
}
