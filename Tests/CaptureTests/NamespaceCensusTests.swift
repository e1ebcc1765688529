import Capture
import Testing

@Suite struct NamespaceCensusTests {
    @Test(arguments: [
        ("pod0a1b2c3d-0000-4000-8000-00000000000a", "0a1b2c3d-0000-4000-8000-00000000000a"),
        ("kubepods-burstable-pod0a1b2c3d_0000_4000_8000_00000000000a.slice", "0a1b2c3d-0000-4000-8000-00000000000a"),
        ("kubepods-pod0a1b2c3d_0000_4000_8000_00000000000a.slice", "0a1b2c3d-0000-4000-8000-00000000000a"),
        // A static pod's UID is a hash.
        ("podd1b91728dd22c6e8ab4b0f7b1f4c2a55", "d1b91728dd22c6e8ab4b0f7b1f4c2a55"),
    ])
    func groupsThatNameAPod(name: String, uid: String) {
        #expect(NamespaceCensus.podUID(inGroup: name) == uid)
    }

    @Test(arguments: [
        "", "pod", "kubepods.slice", "kubepods-burstable.slice", "cri-containerd-0a1b2c3d.scope", "podman",
        "pod0a1b2c3d-0000-4000-8000-00000000000g", "pod0a1b2c3d", "-pod", "system.slice",
    ])
    func groupsThatDoNot(name: String) {
        #expect(NamespaceCensus.podUID(inGroup: name) == nil)
    }
}
