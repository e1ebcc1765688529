/// What a source of Kubernetes resources is told from outside.
package struct KubernetesSettings: Hashable, Sendable {
    package var trustDomain = "cluster.local"
    package var clusterDomain = "cluster.local"
    package var clusterID = "Kubernetes"
    package var network = ""
    /// The namespace whose policies are for the whole mesh.
    package var rootNamespace = "istio-system"
    /// Whether dry-run policies are carried out as such; without it they are left out, as istiod does by default.
    package var dryRunPolicies = false

    package init() {}
}

extension ProgramConfiguration {
    /// What the manifests are read with.
    package var kubernetesSettings: KubernetesSettings {
        var settings = KubernetesSettings()
        settings.trustDomain = trustDomain
        return settings
    }
}

extension NodeConfiguration {
    /// What the manifests are read with.
    package var kubernetesSettings: KubernetesSettings {
        var settings = program.kubernetesSettings
        settings.clusterDomain = dataPath.clusterDomain
        settings.clusterID = dataPath.clusterID
        settings.network = dataPath.network
        return settings
    }
}
