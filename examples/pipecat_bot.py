"""A Pipecat bot with a face, in a browser over WebRTC.

pip install 'pipecat-ai[openai,silero,webrtc,runner]' 'visavis[pipecat]'
export OPENAI_API_KEY=... VISAVIS_SERVER=http://localhost:8080
python examples/pipecat_bot.py
"""

from __future__ import annotations

import os

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.runner.types import RunnerArguments
from pipecat.runner.utils import create_transport
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.stt import OpenAISTTService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from visavis.clients.pipecat_video import VisavisVideoService

SIZE = 512
"""Pixels of the person's picture."""


async def bot(arguments: RunnerArguments) -> None:
    """Serve one visitor."""
    key = os.environ["OPENAI_API_KEY"]
    transport = await create_transport(
        arguments,
        {
            "webrtc": lambda: TransportParams(
                audio_in_enabled=True,
                audio_out_enabled=True,
                video_out_enabled=True,
                video_out_framerate=25,
                video_out_width=SIZE,
                video_out_height=SIZE,
            )
        },
    )
    aggregators = LLMContextAggregatorPair(
        LLMContext([{"role": "developer", "content": "Be brief and kind."}]),
        user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer()),
    )
    pipeline = Pipeline(
        [
            transport.input(),
            OpenAISTTService(api_key=key),
            aggregators.user(),
            OpenAILLMService(api_key=key),
            OpenAITTSService(api_key=key),
            VisavisVideoService(
                server=os.environ["VISAVIS_SERVER"], token=os.environ.get("VISAVIS_TOKEN")
            ),
            transport.output(),
            aggregators.assistant(),
        ]
    )
    runner = WorkerRunner()
    await runner.add_workers(PipelineWorker(pipeline))
    await runner.run()


if __name__ == "__main__":
    from pipecat.runner.run import main

    main()
