internal import Capture
internal import ControlPlane
internal import EventLoop
internal import Telemetry

extension NodeRounds {
    /// Takes over the pods of another ztund, with certificates at hand before the first connection comes.
    func adopt(_ adopted: [(pod: PodInheritance, listeners: DescriptorBundle)], pending: [PodLocation]) {
        let now = Kernel.monotonicNow()
        for (pod, listeners) in adopted {
            // A pod that we were told to find elsewhere is another one.
            if let known = pods[pod.location.pod], known.location != pod.location { continue }
            do throws(CaptureFailure) {
                pods[pod.location.pod] = try PodCapture(adopting: pod, listeners, node: capture, now: now)
            } catch {
                node.log.write(
                    .warn, .inpod, "pod \(pod.location.pod) is taken in anew: \(error)", now: Kernel.realtimeNow())
                pods[pod.location.pod] = PodCapture(pod.location, node: capture, now: now)
            }
        }
        for location in pending where pods[location.pod] == nil {
            pods[location.pod] = PodCapture(location, node: capture, now: now)
        }
        transient = Set(pods.keys).subtracting(node.configuration.pods.map { "\($0.namespace)/\($0.name)" })
        let wall = Int64(Kernel.realtimeNow())
        _ = node.checkRevocations(now: wall)
        checkIdentities(wall)
        advancePods()
    }

    var inheritance: (enrolled: [(pod: PodInheritance, listeners: [Int32])], pending: [PodLocation]) {
        let all = pods.values.sorted { $0.location.pod < $1.location.pod }
        return (all.compactMap(\.inheritance), all.filter { $0.inheritance == nil }.map(\.location))
    }

    /// Leaves all pods to another ztund; those that were not enrolled are nobody's here.
    func handOver() {
        isReplaced = true
        isFrozen = false
        for (name, capture) in pods {
            guard capture.inheritance != nil else {
                pods[name] = nil
                continue
            }
            capture.handOver()
        }
    }

    /// Cuts what is open for a pod that another ztund has taken over.
    func forget(_ pod: String) {
        guard isReplaced, let capture = pods[pod] else { return }
        capture.remove(now: Kernel.monotonicNow())
        advance(capture, now: Kernel.monotonicNow())
    }
}
