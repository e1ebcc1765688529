internal import Glibc

extension APIServer {
    /// Where a pod's ServiceAccount is mounted.
    package static let serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// The API server of the cluster that this process is a pod of.
    /// - Parameters:
    ///   - variables: reads an environment variable.
    ///   - folder: of the ServiceAccount's token and authority.
    /// - Throws: ``ConfigurationError`` outside a pod, or where no ServiceAccount is mounted.
    package init(
        inCluster variables: (String) -> String?, folder: String = serviceAccountFolder
    ) throws(ConfigurationError) {
        guard let host = variables("KUBERNETES_SERVICE_HOST"), !host.isEmpty else {
            throw ConfigurationError(
                file: "--kubernetes", problem: "KUBERNETES_SERVICE_HOST is not set: this is no pod of a cluster",
                hint: "outside one give --kubeconfig FILE")
        }
        let text = variables("KUBERNETES_SERVICE_PORT") ?? "443"
        guard let port = UInt16(text), port > 0 else {
            throw ConfigurationError(
                file: "--kubernetes", problem: "KUBERNETES_SERVICE_PORT \(text.quoted) is not a port")
        }
        for file in ["token", "ca.crt"] where access("\(folder)/\(file)", R_OK) != 0 {
            throw ConfigurationError(
                file: "--kubernetes", problem: "\(folder)/\(file) cannot be read",
                hint: "mount the ServiceAccount: automountServiceAccountToken: true")
        }
        self.init(host: host, port: port)
        roots = .file("\(folder)/ca.crt")
        token = .file("\(folder)/token")
    }
}
