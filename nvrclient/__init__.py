"""Asyncio client for i-PRO network disk recorders."""
