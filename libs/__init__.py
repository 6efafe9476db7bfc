"""What more than one service needs: event log, bitmap index, RPC, storage, command line."""
