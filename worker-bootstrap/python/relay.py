"""Carries connections from a unix socket to a TCP port. Two threads a connection: blocking writes are the back-pressure."""

import os
import socket
import threading

CHUNK_BYTES = 256 * 1024


def listen(path):
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    listener.listen(256)
    return listener


def serve(listener, host, port):
    threading.stack_size(256 * 1024)
    threading.Thread(target=_accept, args=(listener, host, port), daemon=True).start()


def _accept(listener, host, port):
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_carry, args=(client, host, port), daemon=True).start()


def _carry(client, host, port):
    with client:
        try:
            server = socket.create_connection((host, port), timeout=10)
        except OSError:
            return  # closing says it: nobody listens
        with server:
            server.settimeout(None)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            join(client, server)


def join(client, server):
    """Carries bytes both ways until both directions have ended."""
    back = threading.Thread(target=_pump, args=(server, client), daemon=True)
    back.start()
    _pump(client, server)
    back.join()


def _pump(source, target):
    try:
        while data := source.recv(CHUNK_BYTES):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One side broke: wake the other pump, which may be waiting in recv on either socket.
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
