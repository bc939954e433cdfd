"""Tiny image-to-video pipelines with random weights, saved the way real ones are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEXT = 32  # width of the text encoders


def tokenizer(*, length: int = 512) -> Any:
    """One token a word or sign; words that it doesn't know are all the same to it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    signs = {"<pad>": 0, "</s>": 1, "<unk>": 2}
    made = Tokenizer(models.WordLevel({**signs, **{word: i for i, word in enumerate(_WORDS, 3)}}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=length
    )


_WORDS = ("walk", "run", "camera", "pan", "left", "right", "rain", "smoke", "cel", "subject", "motion", ",", ".", ":")


def _t5(*, multilingual: bool = False) -> Any:
    """A T5 encoder, or Wan's UMT5."""
    import torch
    from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    config = (UMT5Config if multilingual else T5Config)(
        vocab_size=64,
        d_model=TEXT,
        d_kv=8,
        d_ff=37,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
        pad_token_id=0,
    )
    return (UMT5EncoderModel if multilingual else T5EncoderModel)(config).eval()


def _wan_vae(z_dim: int = 16) -> Any:
    import torch
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    return AutoencoderKLWan(
        base_dim=3, z_dim=z_dim, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )


def _clip_vision(*, projected: bool = False) -> tuple[Any, Any]:
    from transformers import CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    config = CLIPVisionConfig(
        hidden_size=4, projection_dim=4, num_hidden_layers=2, num_attention_heads=2, image_size=32,
        intermediate_size=16, patch_size=4,
    )  # fmt: skip
    size = {"height": 32, "width": 32}
    kind = CLIPVisionModelWithProjection if projected else CLIPVisionModel
    return kind(config), CLIPImageProcessorPil(crop_size=size, size={"shortest_edge": 32})


def save_wan(folder: Path, *, expand: bool = False, two: bool = False) -> Path:
    """Wan 2.1 image-to-video; ``expand``: Wan 2.2 TI2V 5B; ``two``: Wan 2.2 A14B, a second network for low noise."""
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline, WanTransformer3DModel

    alone = expand or two  # of 2.1 only the network sees an image encoder's view of the picture

    def transformer(seed: int) -> Any:
        torch.manual_seed(seed)
        return WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16 if expand else 36,
            out_channels=16, text_dim=TEXT, freq_dim=64, ffn_dim=32, num_layers=2, cross_attn_norm=True,
            qk_norm="rms_norm_across_heads", rope_max_seq_len=32, image_dim=None if alone else 4,
        )  # fmt: skip

    encoder, processor = (None, None) if alone else _clip_vision()
    pipe = WanImageToVideoPipeline(
        tokenizer=tokenizer(), text_encoder=_t5(multilingual=True), vae=_wan_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0), image_encoder=encoder, image_processor=processor,
        transformer=transformer(1), transformer_2=transformer(2) if two else None,
        boundary_ratio=0.9 if two else None, expand_timesteps=expand,
    )  # fmt: skip
    pipe.save_pretrained(folder)
    return folder


def save_skyreels(folder: Path) -> Path:
    """SkyReels V2 image-to-video."""
    import torch
    from diffusers import SkyReelsV2ImageToVideoPipeline, SkyReelsV2Transformer3DModel, UniPCMultistepScheduler

    torch.manual_seed(1)
    transformer = SkyReelsV2Transformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=36, out_channels=16,
        text_dim=TEXT, freq_dim=64, ffn_dim=32, num_layers=2, cross_attn_norm=True, qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32, image_dim=4,
    )  # fmt: skip
    encoder, processor = _clip_vision(projected=True)
    SkyReelsV2ImageToVideoPipeline(
        tokenizer=tokenizer(), text_encoder=_t5(multilingual=True), vae=_wan_vae(), image_encoder=encoder,
        image_processor=processor, transformer=transformer,
        scheduler=UniPCMultistepScheduler(flow_shift=5.0, use_flow_sigmas=True),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def save_skyreels_forcing(folder: Path) -> Path:
    """SkyReels V2 image-to-video by diffusion forcing."""
    import torch
    from diffusers import (
        SkyReelsV2DiffusionForcingImageToVideoPipeline,
        SkyReelsV2Transformer3DModel,
        UniPCMultistepScheduler,
    )

    torch.manual_seed(1)
    transformer = SkyReelsV2Transformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16,
        text_dim=TEXT, freq_dim=64, ffn_dim=32, num_layers=2, cross_attn_norm=True, qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32, inject_sample_info=False,
    )  # fmt: skip
    SkyReelsV2DiffusionForcingImageToVideoPipeline(
        tokenizer=tokenizer(), text_encoder=_t5(multilingual=True), vae=_wan_vae(), transformer=transformer,
        scheduler=UniPCMultistepScheduler(flow_shift=8.0, use_flow_sigmas=True),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def save_ltx(folder: Path) -> Path:
    """LTX-Video; its VAE makes 4 pixels of one in space and 4 frames of one in time."""
    import torch
    from diffusers import (
        AutoencoderKLLTXVideo,
        FlowMatchEulerDiscreteScheduler,
        LTXImageToVideoPipeline,
        LTXVideoTransformer3DModel,
    )

    torch.manual_seed(1)
    transformer = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, patch_size=1, patch_size_t=1, num_attention_heads=4, attention_head_dim=8,
        cross_attention_dim=TEXT, num_layers=1, caption_channels=TEXT,
    )  # fmt: skip
    vae = AutoencoderKLLTXVideo(
        in_channels=3, out_channels=3, latent_channels=8, block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8), layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1), spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False, False, False, False, False), upsample_residual=(False, False, False, False),
        upsample_factor=(1, 1, 1, 1), timestep_conditioning=False, patch_size=1, patch_size_t=1, encoder_causal=True,
        decoder_causal=False,
    )  # fmt: skip
    LTXImageToVideoPipeline(
        transformer=transformer, vae=vae, scheduler=FlowMatchEulerDiscreteScheduler(), text_encoder=_t5(),
        tokenizer=tokenizer(),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def save_cogvideox(folder: Path, *, learned: bool = False, pairs: bool = False) -> Path:
    """CogVideoX; ``learned``: with learned positions, so that only 32 x 16 pixels and 9 frames are possible;
    ``pairs``: CogVideoX 1.5, whose patches hold two latent frames.
    """
    import torch
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXImageToVideoPipeline,
        CogVideoXTransformer3DModel,
        DDIMScheduler,
    )

    torch.manual_seed(1)
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=8, out_channels=4, time_embed_dim=2,
        text_embed_dim=TEXT, num_layers=1, sample_width=32 if pairs else 4,
        sample_height=32 if pairs else 2, sample_frames=9, patch_size=2,
        temporal_compression_ratio=4, max_text_seq_length=226, use_rotary_positional_embeddings=True,
        use_learned_positional_embeddings=learned, patch_size_t=2 if pairs else None, patch_bias=not pairs,
    )  # fmt: skip
    vae = AutoencoderKLCogVideoX(
        in_channels=3, out_channels=3, down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4, block_out_channels=(8, 8, 8, 8), latent_channels=4,
        layers_per_block=1, norm_num_groups=2, temporal_compression_ratio=4,
    )  # fmt: skip
    CogVideoXImageToVideoPipeline(
        transformer=transformer, vae=vae, scheduler=DDIMScheduler(), text_encoder=_t5(), tokenizer=tokenizer(length=226)
    ).save_pretrained(folder)
    return folder


def _hunyuan_parts(text: Any) -> dict[str, Any]:
    """What HunyuanVideo's and SkyReels V1's pipelines have in common."""
    from diffusers import AutoencoderKLHunyuanVideo, FlowMatchEulerDiscreteScheduler
    from transformers import CLIPTextConfig, CLIPTextModel

    vae = AutoencoderKLHunyuanVideo(
        in_channels=3, out_channels=3, latent_channels=4, down_block_types=("HunyuanVideoDownBlock3D",) * 4,
        up_block_types=("HunyuanVideoUpBlock3D",) * 4, block_out_channels=(8, 8, 8, 8), layers_per_block=1,
        norm_num_groups=4, spatial_compression_ratio=8, temporal_compression_ratio=4,
    )  # fmt: skip
    clip = CLIPTextConfig(
        vocab_size=64, bos_token_id=0, eos_token_id=1, hidden_size=8, intermediate_size=16, num_attention_heads=2,
        num_hidden_layers=2, projection_dim=8,
    )  # fmt: skip
    return {
        "vae": vae, "scheduler": FlowMatchEulerDiscreteScheduler(shift=7.0), "text_encoder": text.eval(),
        "tokenizer": tokenizer(), "text_encoder_2": CLIPTextModel(clip), "tokenizer_2": tokenizer(length=77),
    }  # fmt: skip


def _hunyuan_transformer(in_channels: int, kind: str | None) -> Any:
    import torch
    from diffusers import HunyuanVideoTransformer3DModel

    torch.manual_seed(1)
    return HunyuanVideoTransformer3DModel(
        in_channels=in_channels, out_channels=4, num_attention_heads=2, attention_head_dim=10, num_layers=1,
        num_single_layers=1, num_refiner_layers=1, patch_size=1, patch_size_t=1, guidance_embeds=kind is None,
        text_embed_dim=16, pooled_projection_dim=8, rope_axes_dim=(2, 4, 4), image_condition_type=kind,
    )  # fmt: skip


def save_hunyuan(folder: Path) -> Path:
    """HunyuanVideo image-to-video: its text encoder sees the picture as 576 tokens."""
    from diffusers import HunyuanVideoImageToVideoPipeline
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    size = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    vision = CLIPVisionConfig(**size, projection_dim=16, image_size=336, patch_size=14)
    llama = LlamaConfig(vocab_size=64, pad_token_id=0, bos_token_id=0, eos_token_id=1, **size)
    llava = LlavaConfig(vision_config=vision, text_config=llama, pad_token_id=0, image_token_index=3 + len(_WORDS))
    sides = {"crop_size": {"height": 336, "width": 336}, "size": {"shortest_edge": 336}}
    parts = _hunyuan_parts(LlavaForConditionalGeneration(llava))
    parts["tokenizer"].add_special_tokens({"additional_special_tokens": ["<image>", "<|end_header_id|>"]})
    HunyuanVideoImageToVideoPipeline(
        transformer=_hunyuan_transformer(9, "latent_concat"), image_processor=CLIPImageProcessorPil(**sides), **parts
    ).save_pretrained(folder)
    return folder


def save_hunyuan_skyreels(folder: Path) -> Path:
    """SkyReels V1, made from HunyuanVideo."""
    from diffusers import HunyuanSkyreelsImageToVideoPipeline
    from transformers import LlamaConfig, LlamaModel

    llama = LlamaConfig(
        vocab_size=64, pad_token_id=0, bos_token_id=0, eos_token_id=1, hidden_size=16, intermediate_size=16,
        num_attention_heads=2, num_hidden_layers=3,
    )  # fmt: skip
    HunyuanSkyreelsImageToVideoPipeline(
        transformer=_hunyuan_transformer(8, None), **_hunyuan_parts(LlamaModel(llama))
    ).save_pretrained(folder)
    return folder


def save_svd(folder: Path) -> Path:
    """Stable Video Diffusion, which reads no text and makes 5 frames."""
    import torch
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        EulerDiscreteScheduler,
        StableVideoDiffusionPipeline,
        UNetSpatioTemporalConditionModel,
    )
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(1)
    unet = UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=32, in_channels=8, out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"), cross_attention_dim=32,
        num_attention_heads=2, projection_class_embeddings_input_dim=96, addition_time_embed_dim=32, num_frames=5,
    )  # fmt: skip
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", interpolation_type="linear",
        prediction_type="v_prediction", sigma_max=700.0, sigma_min=0.002, steps_offset=1, timestep_spacing="leading",
        timestep_type="continuous", use_karras_sigmas=True,
    )  # fmt: skip
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 32), in_channels=3, out_channels=3, latent_channels=4,
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=32, projection_dim=32, num_hidden_layers=2, num_attention_heads=4, image_size=224,
        intermediate_size=37, patch_size=32,
    )  # fmt: skip
    size = {"height": 224, "width": 224}
    StableVideoDiffusionPipeline(
        unet=unet, image_encoder=CLIPVisionModelWithProjection(vision), scheduler=scheduler, vae=vae,
        feature_extractor=CLIPImageProcessorPil(crop_size=size, size={"shortest_edge": 224}),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def save_sana(folder: Path) -> Path:
    """Sana Video."""
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, SanaImageToVideoPipeline, SanaVideoTransformer3DModel
    from transformers import Gemma2Config, Gemma2Model

    torch.manual_seed(1)
    gemma = Gemma2Config(
        head_dim=16, hidden_size=8, intermediate_size=16, num_attention_heads=2, num_hidden_layers=1,
        num_key_value_heads=2, vocab_size=64, attn_implementation="eager",
    )  # fmt: skip
    transformer = SanaVideoTransformer3DModel(
        in_channels=16, out_channels=16, num_attention_heads=2, attention_head_dim=12, num_layers=2,
        num_cross_attention_heads=2, cross_attention_head_dim=12, cross_attention_dim=24, caption_channels=8,
        sample_size=8, patch_size=(1, 2, 2), qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
    )  # fmt: skip
    SanaImageToVideoPipeline(
        tokenizer=tokenizer(), text_encoder=Gemma2Model(gemma), vae=_wan_vae(),
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)  # fmt: skip
    return folder
