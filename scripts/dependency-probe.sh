#!/bin/bash
# Links one static program with every dependency ztun may have, calls something of each, and measures what that costs.
#
#   scripts/dependency-probe.sh [DIRECTORY]      default: a fresh temporary directory, removed at the end
#
# Prints Markdown rows (docs/dependencies.md holds the last ones). Needs what `make test` installs; takes a few minutes.
set -euo pipefail
runs=${RUNS:-21}
if [ $# -ge 1 ]; then dir=$1; mkdir -p "$dir"; else dir=$(mktemp -d -t ztun-probe.XXXXXX); trap 'rm -rf "$dir"' EXIT; fi
mkdir -p "$dir"/Sources/{CProbe,probe}
cat > "$dir/Package.swift" <<'SWIFT'
// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "probe",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        // Without `traits: []` the delimited-stream trait links all of Foundation.
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.0"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.8.0"),
    ],
    targets: [
        .systemLibrary(name: "CProbe"),
        .executableTarget(
            name: "probe",
            dependencies: [
                "CProbe",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "HashTreeCollections", package: "swift-collections"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)
SWIFT
cat > "$dir/Sources/CProbe/module.modulemap" <<'MAP'
module CProbe [system] {
  header "shim.h"
  link "ssl"
  link "crypto"
  link "nghttp2"
  link "yaml"
  link "bpf"
}
MAP
cat > "$dir/Sources/CProbe/shim.h" <<'HEADER'
#include <bpf/libbpf.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <string.h>
#include <yaml.h>

static inline int probe_yaml(const char *text) {
    yaml_parser_t parser;
    yaml_document_t document;
    if (!yaml_parser_initialize(&parser)) return -1;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    int ok = yaml_parser_load(&parser, &document);
    int nodes = ok ? (int)(document.nodes.top - document.nodes.start) : -1;
    if (ok) yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return nodes;
}

static inline int probe_nghttp2(void) {
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;
    if (nghttp2_session_callbacks_new(&callbacks)) return -1;
    if (nghttp2_session_client_new(&session, callbacks, 0)) return -1;
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, 0, 0);
    const uint8_t *bytes;
    long count = 0, n;
    while ((n = (long)nghttp2_session_mem_send(session, &bytes)) > 0) count += n;
    nghttp2_session_del(session);
    nghttp2_session_callbacks_del(callbacks);
    return (int)count;
}
HEADER
cat > "$dir/Sources/probe/Probe.swift" <<'SWIFT'
import ArgumentParser
import CProbe
import GRPCCore
import GRPCProtobuf
import Glibc
import HashTreeCollections
import Logging
import ServiceLifecycle
import SwiftProtobuf

/// A transport that has no peer: it links the whole client side of GRPCCore without a second TLS stack.
struct NoPeer: ClientTransport {
    typealias Bytes = [UInt8]
    let retryThrottle: RetryThrottle? = nil
    let stopped = AsyncStream<Never>.makeStream()

    func connect() async throws { for await _ in stopped.stream {} }
    func beginGracefulShutdown() { stopped.continuation.finish() }
    func withStream<T: Sendable>(
        descriptor: MethodDescriptor, options: CallOptions,
        _ closure: (RPCStream<Inbound, Outbound>, ClientContext) async throws -> T
    ) async throws -> T {
        throw RPCError(code: .unavailable, message: "no peer")
    }
    func config(forMethod descriptor: MethodDescriptor) -> MethodConfig? { nil }
}

struct Once: Service {
    func run() async throws {}
}

@main
struct Probe: AsyncParsableCommand {
    @Option(help: "how many map entries")
    var entries = 1000
    @Flag(help: "stay until a signal")
    var stay = false

    func run() async throws {
        var logger = Logger(label: "probe", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = .warning
        var map = TreeDictionary<Int, String>()
        for index in 0..<entries { map[index] = "w\(index)" }

        var fields = Google_Protobuf_Struct()
        fields.fields["name"] = Google_Protobuf_Value(stringValue: map[1] ?? "")
        let json = try fields.jsonString()
        let wire: [UInt8] = try ProtobufSerializer<Google_Protobuf_Struct>().serialize(fields)

        var answer = ""
        // The body may end before the client's own task has begun, which it reports as an error: nothing to measure.
        try? await withGRPCClient(transport: NoPeer()) { client in
            do {
                let _: Int = try await client.unary(
                    request: ClientRequest(message: fields),
                    descriptor: MethodDescriptor(fullyQualifiedService: "probe.Probe", method: "Ask"),
                    serializer: ProtobufSerializer<Google_Protobuf_Struct>(),
                    deserializer: ProtobufDeserializer<Google_Protobuf_Struct>(), options: .defaults
                ) { try $0.message.fields.count }
            } catch let error as RPCError {
                answer = error.message
            }
        }
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: Once(), successTerminationBehavior: .gracefullyShutdownGroup)],
                gracefulShutdownSignals: [.sigterm], logger: logger))
        try await group.run()

        let context = SSL_CTX_new(TLS_method())
        let session = SSL_new(context)
        print(
            "json=\(json) wire=\(wire.count) grpc='\(answer)' tls=\(session != nil) h2=\(probe_nghttp2())",
            "yaml=\(probe_yaml("a: [b, c]")) bpf=\(String(cString: libbpf_version_string()))")
        SSL_free(session)
        SSL_CTX_free(context)
        guard stay else { return }
        print("ready")
        fflush(nil)
        pause()
    }
}
SWIFT
cd "$dir"
swift build -c release --static-swift-stdlib
program=.build/release/probe
strip -o probe.stripped "$program"
./probe.stripped
python3 - "$runs" <<'PYTHON'
import os, re, statistics, subprocess, sys, time
runs = int(sys.argv[1])
times = []
for _ in range(runs):
    begin = time.monotonic()
    subprocess.run(["./probe.stripped"], stdout=subprocess.DEVNULL, check=True)
    times.append((time.monotonic() - begin) * 1000)
stay = subprocess.Popen(["./probe.stripped", "--stay"], stdout=subprocess.PIPE, text=True)
while stay.stdout.readline().strip() != "ready": pass
status = open(f"/proc/{stay.pid}/status").read()
rss = {key: int(re.search(key + r":\s+(\d+)", status)[1]) / 1024 for key in ("VmRSS", "RssAnon", "VmHWM")}
stay.kill(); stay.wait()
size = os.path.getsize("probe.stripped") / 1e6
print("| figure | measured | target |\n|---|---|---|")
print(f"| binary, static standard library, stripped | {size:.1f} MB | 25 MB |")
print(f"| start of the process to its end, median of {runs} (min, max) | {statistics.median(times):.1f} ms ({min(times):.1f}, {max(times):.1f}) | 30 ms |")
print(f"| resident memory after all calls (anonymous part) | {rss['VmRSS']:.1f} MiB ({rss['RssAnon']:.1f}) | 20 MiB |")
PYTHON
echo; echo "shared libraries:"; ldd probe.stripped | awk '{print "  " $1}'
swift package show-dependencies --format flatlist
