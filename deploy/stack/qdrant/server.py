"""Qdrant's gRPC services for tests, on a machine without Qdrant's own server.

The protocol is that of qdrant-client, the storage and the search are Qdrant's own engine from qdrant-edge-py, which is a
library without a network. This program joins the two for the part of the services that the tests use, one shard a
collection. What it does not know it refuses; it never leaves a field of a request out.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from concurrent import futures

import grpc
import qdrant_edge as edge
from qdrant_client import grpc as wire
from qdrant_client.conversions.conversion import grpc_to_payload, payload_to_grpc

VERSION = "1.17.0"  # of Qdrant, whose services these are
INDEXING_THRESHOLD = 10_000  # KB of vectors without an index that make a new one, Qdrant's own default

DISTANCES = {
    wire.Cosine: edge.Distance.Cosine,
    wire.Dot: edge.Distance.Dot,
    wire.Euclid: edge.Distance.Euclid,
    wire.Manhattan: edge.Distance.Manhattan,
}
FIELD_TYPES = {
    wire.FieldTypeKeyword: (edge.PayloadSchemaType.Keyword, wire.Keyword),
    wire.FieldTypeInteger: (edge.PayloadSchemaType.Integer, wire.Integer),
}


class Refused(Exception):
    """A request that ends with a status other than OK."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def invalid(message):
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, "Wrong input: " + message)


def only(message, *known):
    """Refuses a message with fields beyond the known ones."""
    for field, _ in message.ListFields():
        if field.name not in known:
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, f"{message.DESCRIPTOR.name}.{field.name} is not known to this server")


def optional(message, field):
    return getattr(message, field) if message.HasField(field) else None


# Conversions of what is sent into what the engine takes, and back.


def point_id(message):
    kind = message.WhichOneof("point_id_options")
    if kind is None:
        raise invalid("a point without an id")
    return getattr(message, kind)


def wire_id(value):
    return wire.PointId(num=value) if isinstance(value, int) else wire.PointId(uuid=str(value))


def dense(message):
    """The numbers of one unnamed dense vector."""
    kind = message.WhichOneof("vectors_options")
    if kind != "vector":
        raise Refused(grpc.StatusCode.UNIMPLEMENTED, "named vectors are not known to this server")
    return vector(message.vector)


def vector(message):
    kind = message.WhichOneof("vector")
    if kind == "dense":
        return list(message.dense.data)
    if kind is None and not message.HasField("indices"):
        return list(message.data)  # as older clients send it
    raise Refused(grpc.StatusCode.UNIMPLEMENTED, "vectors that are not dense are not known to this server")


def condition(message):
    kind = message.WhichOneof("condition_one_of")
    if kind == "has_id":
        return edge.HasIdCondition({point_id(i) for i in message.has_id.has_id})
    if kind == "filter":
        return converted_filter(message.filter)
    if kind != "field":
        raise Refused(grpc.StatusCode.UNIMPLEMENTED, f"conditions of {kind} are not known to this server")
    field = message.field
    only(field, "key", "match", "range")
    match = bounds = None
    if field.HasField("match"):
        chosen = field.match.WhichOneof("match_value")
        if chosen not in ("keyword", "integer", "boolean"):
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, f"matches of {chosen} are not known to this server")
        match = edge.MatchValue(getattr(field.match, chosen))
    if field.HasField("range"):
        bounds = edge.RangeFloat(**{name: optional(field.range, name) for name in ("gte", "gt", "lte", "lt")})
    return edge.FieldCondition(field.key, match=match, range=bounds)


def converted_filter(message):
    only(message, "must", "should", "must_not")
    parts = {name: [condition(c) for c in getattr(message, name)] or None for name in ("must", "should", "must_not")}
    return edge.Filter(**parts)


def search_params(message):
    only(message, "hnsw_ef", "exact", "quantization", "indexed_only")
    quantization = None
    if message.HasField("quantization"):
        q = message.quantization
        only(q, "ignore", "rescore", "oversampling")
        quantization = edge.QuantizationSearchParams(
            ignore=q.ignore, rescore=optional(q, "rescore"), oversampling=optional(q, "oversampling")
        )
    return edge.SearchParams(
        hnsw_ef=optional(message, "hnsw_ef"),
        exact=message.exact,
        quantization=quantization,
        indexed_only=message.indexed_only,
    )


def with_payload(message):
    kind = message.WhichOneof("selector_options")
    if kind == "include":
        return list(message.include.fields)
    if kind == "exclude":
        raise Refused(grpc.StatusCode.UNIMPLEMENTED, "excluding payload fields is not known to this server")
    return message.enable


def shard_config(request):
    """The engine's configuration for a collection that was asked for."""
    only(request, "collection_name", "vectors_config", "hnsw_config", "quantization_config", "optimizers_config", "on_disk_payload")
    if request.vectors_config.WhichOneof("config") != "params":
        raise Refused(grpc.StatusCode.UNIMPLEMENTED, "collections without one unnamed vector are not known to this server")
    params = request.vectors_config.params
    only(params, "size", "distance", "on_disk")
    if params.size < 1 or params.size > 65536:
        raise invalid("vectors_config.size: want 1 to 65536")
    hnsw = request.hnsw_config
    only(hnsw, "m", "ef_construct")
    only(request.optimizers_config, "indexing_threshold")
    quantization = None
    if request.HasField("quantization_config"):
        scalar = request.quantization_config.scalar
        if request.quantization_config.WhichOneof("quantization") != "scalar" or scalar.type != wire.Int8:
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, "quantization other than scalar is not known to this server")
        quantization = edge.ScalarQuantizationConfig(
            edge.ScalarType.Int8, quantile=optional(scalar, "quantile"), always_ram=optional(scalar, "always_ram")
        )
    return edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(
            size=params.size, distance=DISTANCES[params.distance], on_disk=optional(params, "on_disk")
        ),
        hnsw_config=edge.HnswIndexConfig(
            m=optional(hnsw, "m") or 16, ef_construct=optional(hnsw, "ef_construct") or 100, full_scan_threshold=10_000
        ),
        quantization_config=quantization,
        on_disk_payload=optional(request, "on_disk_payload"),
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=threshold(request)),
    )


def threshold(request):
    return optional(request.optimizers_config, "indexing_threshold") or INDEXING_THRESHOLD


class Collection:
    """One shard in a folder of its own, beside the request that made it."""

    def __init__(self, folder, request=None):
        self.folder, self.data = folder, folder / "shard"
        self.lock = threading.RLock()
        self.missed = None  # updates since the copy was taken that is being optimised
        if request is None:
            self.request = wire.CreateCollection.FromString((folder / "request").read_bytes())
            if not self.data.exists():  # killed between the two steps of a swap
                (folder / "old").rename(self.data)
            self.shard = edge.EdgeShard.load(str(self.data))
            return
        config = shard_config(request)
        shutil.rmtree(folder, ignore_errors=True)
        self.data.mkdir(parents=True)
        self.request, self.shard = request, edge.EdgeShard.create(str(self.data), config)
        self.shard.flush()
        (folder / "request").write_bytes(request.SerializeToString())  # last: a folder without it was never whole

    def update(self, operation):
        with self.lock:
            self.shard.update(operation)
            if self.missed is not None:
                self.missed.append(operation)

    def close(self):
        with self.lock:
            self.shard.flush()
            self.shard.close()

    def unarranged(self):
        """Whether a search compares so many vectors one by one that Qdrant would make an index."""
        with self.lock:
            info = self.shard.info()
        kilobytes = (info.points_count - info.indexed_vectors_count) * self.request.vectors_config.params.size * 4 / 1024
        return self.missed is not None or kilobytes > threshold(self.request)

    def optimise(self):
        """Makes the indexes, as Qdrant does in the background. The engine's own call would hold up everything else in
        this process, so another process does it to a copy; what was written meanwhile is then written again."""
        if not self.unarranged():
            return
        copy, old = self.folder / "copy", self.folder / "old"
        for left in (copy, old):
            shutil.rmtree(left, ignore_errors=True)
        with self.lock:
            self.shard.flush()
            shutil.copytree(self.data, copy)
            self.missed = []
        try:
            subprocess.run([sys.executable, __file__, "--optimise", str(copy)], check=True)
            with self.lock:
                self.shard.close()
                self.data.rename(old)
                copy.rename(self.data)
                self.shard = edge.EdgeShard.load(str(self.data))
                for operation in self.missed:
                    self.shard.update(operation)
                self.shard.flush()
        finally:
            self.missed = None
        shutil.rmtree(old, ignore_errors=True)


class Server:
    """All collections below one folder."""

    def __init__(self, folder):
        self.folder, self.lock, self.collections = folder, threading.RLock(), {}
        folder.mkdir(parents=True, exist_ok=True)
        for entry in folder.iterdir():
            if (entry / "request").exists():
                self.collections[urllib.parse.unquote(entry.name)] = Collection(entry)

    def find(self, name):
        with self.lock:
            if name not in self.collections:
                raise Refused(grpc.StatusCode.NOT_FOUND, f"Not found: Collection `{name}` doesn't exist!")
            return self.collections[name]

    def create(self, request):
        name = request.collection_name
        with self.lock:
            if name in self.collections:
                raise Refused(grpc.StatusCode.ALREADY_EXISTS, f"Wrong input: Collection `{name}` already exists!")
            self.collections[name] = Collection(self.folder / urllib.parse.quote(name, safe=""), request)

    def delete(self, name):
        with self.lock:
            found = self.collections.pop(name, None)
        if found is None:
            return False
        with found.lock:
            found.close()
            (found.folder / "request").unlink()
            shutil.rmtree(found.folder, ignore_errors=True)
        return True

    def all(self):
        with self.lock:
            return dict(self.collections)

    def optimise_for_ever(self):
        while True:
            time.sleep(0.5)
            for collection in self.all().values():
                with contextlib.suppress(Exception):  # deleted meanwhile
                    collection.optimise()


def answering(method):
    """Turns what a method raises into a status, and says how long it took."""

    def call(self, request, context):
        begun = time.monotonic()
        try:
            reply = method(self, request)
        except Refused as refused:
            context.abort(refused.code, str(refused))
        except Exception as error:  # the engine knows one type of error, most of them about the request
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Wrong input: {error}")
        if "time" in reply.DESCRIPTOR.fields_by_name:
            reply.time = time.monotonic() - begun
        return reply

    return call


class Collections(wire.CollectionsServicer):
    def __init__(self, server):
        self.server = server

    @answering
    def Create(self, request):
        self.server.create(request)
        return wire.CollectionOperationResponse(result=True)

    @answering
    def Delete(self, request):
        return wire.CollectionOperationResponse(result=self.server.delete(request.collection_name))

    @answering
    def List(self, request):
        names = sorted(self.server.all())
        return wire.ListCollectionsResponse(collections=[wire.CollectionDescription(name=n) for n in names])

    @answering
    def CollectionExists(self, request):
        exists = request.collection_name in self.server.all()
        return wire.CollectionExistsResponse(result=wire.CollectionExists(exists=exists))

    @answering
    def Get(self, request):
        collection = self.server.find(request.collection_name)
        with collection.lock:
            info, arranged = collection.shard.info(), not collection.unarranged()
        types = {str(known): sent for known, sent in FIELD_TYPES.values()}
        made = collection.request
        return wire.GetCollectionInfoResponse(
            result=wire.CollectionInfo(
                status=wire.Green if arranged else wire.Yellow,
                optimizer_status=wire.OptimizerStatus(ok=True),
                segments_count=info.segments_count,
                points_count=info.points_count,
                indexed_vectors_count=info.indexed_vectors_count,
                payload_schema={
                    name: wire.PayloadSchemaInfo(data_type=types[str(field.data_type)], points=field.points)
                    for name, field in info.payload_schema.items()
                },
                config=wire.CollectionConfig(
                    params=wire.CollectionParams(vectors_config=made.vectors_config, shard_number=1),
                    hnsw_config=made.hnsw_config,
                    optimizer_config=made.optimizers_config,
                    quantization_config=made.quantization_config if made.HasField("quantization_config") else None,
                ),
            )
        )


class Points(wire.PointsServicer):
    def __init__(self, server):
        self.server = server

    def update(self, request, operation):
        """All updates wait, whether asked to or not."""
        self.server.find(request.collection_name).update(operation)
        return wire.PointsOperationResponse(result=wire.UpdateResult(status=wire.Completed))

    @answering
    def Upsert(self, request):
        only(request, "collection_name", "wait", "points")
        points = []
        for p in request.points:
            only(p, "id", "vectors", "payload")
            points.append(edge.Point(point_id(p.id), dense(p.vectors), grpc_to_payload(p.payload)))
        return self.update(request, edge.UpdateOperation.upsert_points(points))

    @answering
    def Delete(self, request):
        only(request, "collection_name", "wait", "points")
        selector = request.points
        if selector.WhichOneof("points_selector_one_of") == "filter":
            return self.update(request, edge.UpdateOperation.delete_points_by_filter(converted_filter(selector.filter)))
        return self.update(request, edge.UpdateOperation.delete_points([point_id(i) for i in selector.points.ids]))

    @answering
    def CreateFieldIndex(self, request):
        only(request, "collection_name", "wait", "field_name", "field_type")
        if request.field_type not in FIELD_TYPES:
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, "this type of field index is not known to this server")
        known, _ = FIELD_TYPES[request.field_type]
        return self.update(request, edge.UpdateOperation.create_field_index(request.field_name, known))

    @answering
    def Query(self, request):
        only(request, "collection_name", "query", "filter", "params", "limit", "with_payload")
        nearest = request.query.nearest
        if request.query.WhichOneof("variant") != "nearest" or nearest.WhichOneof("variant") != "dense":
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, "queries other than for the nearest to a vector are not known to this server")
        query = edge.QueryRequest(
            limit=request.limit if request.HasField("limit") else 10,
            query=edge.Query.Nearest(list(nearest.dense.data)),
            filter=converted_filter(request.filter) if request.HasField("filter") else None,
            params=search_params(request.params) if request.HasField("params") else None,
            with_payload=with_payload(request.with_payload),
        )
        collection = self.server.find(request.collection_name)
        with collection.lock:
            found = collection.shard.query(query)
        return wire.QueryResponse(
            result=[
                wire.ScoredPoint(id=wire_id(p.id), score=p.score, version=p.version, payload=payload_to_grpc(p.payload or {}))
                for p in found
            ]
        )

    @answering
    def Count(self, request):
        only(request, "collection_name", "filter", "exact")
        exact = request.exact if request.HasField("exact") else True
        wanted = converted_filter(request.filter) if request.HasField("filter") else None
        collection = self.server.find(request.collection_name)
        with collection.lock:
            return wire.CountResponse(result=wire.CountResult(count=collection.shard.count(edge.CountRequest(exact, wanted))))

    @answering
    def Scroll(self, request):
        only(request, "collection_name", "filter", "limit", "order_by", "with_payload", "offset")
        order = None
        if request.HasField("order_by"):
            only(request.order_by, "key", "direction")
            falling = request.order_by.direction == wire.Desc
            order = edge.OrderBy(request.order_by.key, edge.Direction.Desc if falling else edge.Direction.Asc)
        scroll = edge.ScrollRequest(
            offset=point_id(request.offset) if request.HasField("offset") else None,
            limit=request.limit if request.HasField("limit") else 10,
            filter=converted_filter(request.filter) if request.HasField("filter") else None,
            with_payload=with_payload(request.with_payload),
            order_by=order,
        )
        collection = self.server.find(request.collection_name)
        with collection.lock:
            found, following = collection.shard.scroll(scroll)
        return wire.ScrollResponse(
            result=[wire.RetrievedPoint(id=wire_id(p.id), payload=payload_to_grpc(p.payload or {})) for p in found],
            next_page_offset=None if following is None else wire_id(following),
        )


class Qdrant(wire.QdrantServicer):
    @answering
    def HealthCheck(self, request):
        return wire.HealthCheckReply(title="qdrant - vector search engine", version=VERSION)


def optimise(folder):
    os.nice(5)
    shard = edge.EdgeShard.load(folder)
    shard.optimize()
    shard.flush()
    shard.close()


def serve(folder, port):
    server = Server(folder)
    wire_server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=16),
        options=[
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
        ],
    )
    wire.add_CollectionsServicer_to_server(Collections(server), wire_server)
    wire.add_PointsServicer_to_server(Points(server), wire_server)
    wire.add_QdrantServicer_to_server(Qdrant(), wire_server)
    wire_server.add_insecure_port(f"127.0.0.1:{port}")

    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    wire_server.start()
    threading.Thread(target=server.optimise_for_ever, daemon=True).start()
    print("ready", flush=True)
    ended.wait()
    wire_server.stop(grace=2).wait()
    for collection in server.all().values():
        collection.close()
    os._exit(0)  # an optimisation of a copy may be under way


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, help="of the collections")
    parser.add_argument("--port", type=int, help="on loopback")
    parser.add_argument("--optimise", help="a folder of one shard, to be optimised instead")
    arguments = parser.parse_args()
    if arguments.optimise:
        optimise(arguments.optimise)
    else:
        serve(arguments.folder, arguments.port)
