"""A LiveKit agent with a face: talk to it in the LiveKit playground.

pip install 'livekit-agents[openai]' 'visavis[livekit]'
export LIVEKIT_URL=... LIVEKIT_API_KEY=... LIVEKIT_API_SECRET=... OPENAI_API_KEY=...
export VISAVIS_SERVER=http://localhost:8080
python examples/livekit_agent.py dev
"""

from __future__ import annotations

import os

from livekit.agents import Agent, AgentSession, JobContext, WorkerOptions, cli
from livekit.plugins import openai

from visavis.clients.livekit_avatar import VisavisAvatar


async def entrypoint(ctx: JobContext) -> None:
    """Serve one room."""
    await ctx.connect()
    # A cleared avatar cannot go on where it was: no resuming after a false interruption.
    session = AgentSession(
        llm=openai.realtime.RealtimeModel(),
        turn_handling={"interruption": {"resume_false_interruption": False}},
    )
    avatar = VisavisAvatar(os.environ["VISAVIS_SERVER"], token=os.environ.get("VISAVIS_TOKEN"))
    await avatar.start(session, room=ctx.room)
    await session.start(agent=Agent(instructions="Be brief and kind."), room=ctx.room)
    await session.generate_reply(instructions="Greet the visitor.")


if __name__ == "__main__":
    cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint))
