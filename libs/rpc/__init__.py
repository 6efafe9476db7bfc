"""How do services talk gRPC? Server, channels and errors; not what any call means."""

MAX_MESSAGE_BYTES = 64 << 20
"""The largest message either side takes."""

MESSAGE_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)
