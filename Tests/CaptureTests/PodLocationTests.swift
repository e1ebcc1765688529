import Capture
import Testing

@Suite struct PodLocationTests {
    @Test func readsNamespaceNameAndPath() throws {
        let location = try PodLocation(parsing: "default/web-0.a@/run/netns/x@y")
        #expect(location == PodLocation(namespace: "default", name: "web-0.a", path: "/run/netns/x@y"))
        #expect(location.pod == "default/web-0.a")
        #expect(try PodLocation(parsing: location.description) == location)
    }

    @Test(arguments: [
        ("default/a", "the path of its network namespace is missing"),
        ("a@/run/netns/a", "is not NAMESPACE/NAME"),
        ("x/y/z@/run/netns/a", "is not NAMESPACE/NAME"),
        ("/a@/run/netns/a", "is not a Kubernetes namespace"),
        ("Default/a@/run/netns/a", "\"Default\" is not a Kubernetes namespace"),
        ("a.b/a@/run/netns/a", "is not a Kubernetes namespace"),
        ("default/@/run/netns/a", "is not a pod name"),
        ("default/-a@/run/netns/a", "is not a pod name"),
        ("default/a\u{1b}[0m@/x", "\"a\\x1b[0m\" is not a pod name"),
        ("default/a@netns/a", "is not absolute"),
        ("default/a@", "is not absolute"),
        ("", "is missing"),
    ])
    func namesWhatIsWrong(text: String, message: String) {
        let error = #expect(throws: CaptureFailure.self) { try PodLocation(parsing: text) }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("default/client@/run/netns/client") == true)
        #expect(error?.description.contains("\u{1b}") == false)
    }
}
