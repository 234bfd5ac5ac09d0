# The mistakes that tests/mutation/mutations.sh puts into the CUDA kernels, one at a time.
#
# Not among them, because no test of an op can or should tell them from the original: the order of
# sums (query heads of a group taken in another order), roundings that the bounds of bf16 allow (h
# made from the sum before instead of after it was rounded), and the exact zero that attention's
# backward gives for query 0, of which rounding noise remains without the special case.
cuda=kernels/cuda
fp32="$cuda/attention_fp32.cu"
forward="$cuda/attention_bf16_forward.cu"
backward="$cuda/attention_bf16_backward.cu"

# ---- embedding ----
mutant embed-scan-barrier $cuda/embed.cu 'fp32 - embed' 'a barrier of the prefix sum is dropped' \
    $'        __syncthreads();\n        sums[threadIdx.x] += before;' \
    $'        sums[threadIdx.x] += before;'
mutant embed-scan-last $cuda/embed.cu 'fp32 - embed' 'the prefix sum stops one round early' \
    'offset < SCAN_THREADS; offset *= 2' 'offset < SCAN_THREADS / 2; offset *= 2'
mutant embed-heavy-barrier $cuda/embed.cu 'fp32 - embed' 'frequent tokens: sums read before they are there' \
    $'        __syncthreads();\n        const int64_t column' $'        const int64_t column'
mutant embed-heavy-step $cuda/embed.cu 'bf16 - embed' 'frequent tokens: every warp takes the same positions' \
    'begin + warp, end, WARPS, C, c' 'begin, end, WARPS, C, c'
mutant embed-rank $cuda/embed.cu 'fp32 - embed' 'positions are summed in the wrong order of equals' \
    's.bucket[j] < n' 's.bucket[j] <= n'
mutant embed-accumulate $cuda/embed.cu 'fp32 - embed' 'what the gradient held is dropped' \
    'sum[j] += old[j]' 'sum[j] += 0 * old[j]'
mutant embed-gather $cuda/embed.cu 'bf16 - embed' 'the column of a gathered row is shifted' \
    'tokens[n] * row.by + column)' 'tokens[n] * row.by + column / 2)'
mutant embed-gather-rows $cuda/embed.cu 'bf16 - embed' 'a row is an access shorter than it is' \
    'column = i - n * row.by;' 'column = i - n * (row.by - 1);'
mutant embed-clear $cuda/embed.cu 'fp32 - embed' 'counts of the last call stay' \
    's.cursor[v] = 0;' 's.cursor[v] += 0;'
mutant embed-clear-first $cuda/embed.cu 'fp32 - embed' "the first token's count stays" \
    'v = grid_index_32(); v < V;' 'v = grid_index_32() + 1; v < V;'

# ---- norms ----
mutant norm-eps $cuda/norm.cu 'fp32 - add_norm' 'eps is ten times too large' \
    '#define NORM_EPS 1e-6f' '#define NORM_EPS 1e-5f'
mutant norm-rows $cuda/norm.cu 'fp32 - add_norm' 'the last row of an odd number is skipped' \
    $'__launch_bounds__(THREADS) add_norm_forward_kernel(norm_args a)\n{\n    const int64_t n = (int64_t)blockIdx.x * ROWS + threadIdx.x / 32;\n    const int C = (int)a.C;\n    if (n >= a.N) {' \
    $'__launch_bounds__(THREADS) add_norm_forward_kernel(norm_args a)\n{\n    const int64_t n = (int64_t)blockIdx.x * ROWS + threadIdx.x / 32;\n    const int C = (int)a.C;\n    if (n >= a.N - 1 && n > 0) {'
mutant norm-columns $cuda/norm.cu 'bf16 - add_norm' 'the last access of a row is not loaded' \
    $'        if (c < C) {\n            load_packed' $'        if (c + W < C) {\n            load_packed'
mutant norm-zeros $cuda/norm.cu 'fp32 - add_norm' 'what a lane keeps behind the end of a row counts' \
    'row->chunk[k] = packed<Act, W>();' 'load_packed(&row->chunk[k], from);'
mutant norm-behind $cuda/norm.cu 'bf16 - add_norm' 'a row is stored beyond its end' \
    $'    if (c < C) {\n        store_packed' $'    if (c < C + W) {\n        store_packed'
mutant norm-chunks $cuda/norm.cu 'fp32 - add_norm' 'more columns than the registers of a lane hold' \
    $'if (a.C <= 32 * W * 8) {\n        return CUDA_LAUNCH(dev, op, (add_norm_forward_kernel' \
    $'if (a.C <= 32 * W * 9) {\n        return CUDA_LAUNCH(dev, op, (add_norm_forward_kernel'
mutant norm-rounding $cuda/norm.cu 'fp32 - add_norm' 'h is made from x without y' \
    $'            pack(&x.chunk[k], u);\n            store_chunk((Act *)a.x_out + n * C, k, C, x.chunk[k]);' \
    $'            packed<Act, W> sum;\n            pack(&sum, u);\n            store_chunk((Act *)a.x_out + n * C, k, C, sum);'
mutant norm-scale $cuda/norm.cu 'fp32 - add_norm' 'the gradient of y misses the scale' \
    $'g[j] *= a.scale;\n            }\n            pack(' $'g[j] *= 1;\n            }\n            pack('
mutant norm-long-scale $cuda/norm.cu 'fp32 - add_norm' 'the gradient of y misses the scale, long rows' \
    $'g[j] *= a.scale;\n            }\n            store<' $'g[j] *= 1;\n            }\n            store<'
mutant norm-post-scale $cuda/norm.cu 'bf16 - add_norm' 'with post_norm: the mean is not taken off' \
    '(sum[POST ? k : 0][j] - v[j] * inv_y * mean_y)' '(sum[POST ? k : 0][j])'
mutant norm-post-sum $cuda/norm.cu 'bf16 - add_norm' 'with post_norm: every access takes the sums of the first' \
    'inv_y * (sum[POST ? k : 0][j]' 'inv_y * (sum[0][j]'
mutant norm-long-post $cuda/norm.cu 'bf16 - add_norm' 'with post_norm: the mean is not taken off, long rows' \
    '(g[j] - u[j] * inv_y * mean_y)' '(g[j])'
mutant norm-first $cuda/norm.cu 'fp32 - add_norm' 'dx is taken as zero where it is not' \
    $'    if (!a.first) {\n        load_row(' $'    if (!a.first && inv_h < 0) {\n        load_row('
mutant norm-long-first $cuda/norm.cu 'fp32 - add_norm' 'dx is taken as zero where it is not, long rows' \
    $'    if (!a.first) {\n        load<' $'    if (!a.first && inv_h < 0) {\n        load<'
mutant norm-mean $cuda/norm.cu 'fp32 - add_norm' 'the mean is over one value too many' \
    'a.per_column = 1.0f / (float)C;
    GB_TRY(cuda_op_begin(dev, GB_OP_NORM));
    GB_TRY(dev->bf16 ? add_norm_backward' 'a.per_column = 1.0f / (float)(C + 1);
    GB_TRY(cuda_op_begin(dev, GB_OP_NORM));
    GB_TRY(dev->bf16 ? add_norm_backward'
mutant pack-order "$cuda/launch.cuh $cuda/norm.cu" 'bf16 - add_norm' 'the two values of a word change places' \
    '__floats2bfloat162_rn(from[i], from[i + 1])' '__floats2bfloat162_rn(from[i + 1], from[i])'
mutant unpack-order "$cuda/launch.cuh $cuda/norm.cu" 'bf16 - add_norm' 'both values of a word are its lower half' \
    'word & 0xffff0000u' 'word >> 16 | word << 16'
mutant packed-words "$cuda/launch.cuh $cuda/rope.cu" 'fp32 - qk_rope' 'the words of an access change places' \
    'make_uint4(p.word[i], p.word[i + 1],' 'make_uint4(p.word[i + 1], p.word[i],'
mutant warp-sum "$cuda/launch.cuh $cuda/norm.cu" 'fp32 - add_norm' 'a warp sum leaves out half of the lanes' \
    $'int offset = 16; offset > 0; offset /= 2) {\n        x += __shfl' \
    $'int offset = 8; offset > 0; offset /= 2) {\n        x += __shfl'

# ---- matrix products ----
mutant gemm-transpose $cuda/gemm_plan.cu 'fp32 - linear' 'the other operand is transposed' \
    'op_b = k->b_transposed ?' 'op_b = k->a_transposed ?'
mutant gemm-beta $cuda/gemm_run.cu 'fp32 - linear' 'accumulation is dropped' \
    'accumulate ? 1.0f : 0.0f' '0.0f'
mutant gemm-first $cuda/gemm.cu 'bf16 - linear' 'what should be overwritten is added to' \
    'g.accumulate = !first;' 'g.accumulate = true;'
mutant gemm-stride $cuda/gemm_plan.cu 'fp32 - classifier' 'the padded stride of the logits is ignored' \
    'g->ldc > 0 ? g->ldc : g->N' 'g->N'
mutant gemm-alignment $cuda/gemm_plan.cu 'bf16 - linear' 'plans expect more alignment than there is' \
    'k.align_a = alignment_of(g->a);' 'k.align_a = 4096;'

# ---- activations ----
mutant gelu-slope $cuda/elementwise.cu 'fp32 - mlp' 'the slope of GELU misses a term' \
    'fmaf(x, normal<Act>::density(x), normal<Act>::below(x))' \
    'normal<Act>::density(x) + normal<Act>::below(x)'
mutant gelu-tanh $cuda/elementwise.cu 'fp32 - mlp' 'GELU by the tanh approximation' \
    'return 0.5f * (1.0f + erff(x * 0.70710678118654752f));' \
    'return 0.5f * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));'
mutant gelu-tail $cuda/elementwise.cu 'bf16 - mlp' 'GELU in bf16: the tails change places' \
    'x < 0 ? tail : 1.0f - tail' 'x < 0 ? 1.0f - tail : tail'
mutant swiglu-swap $cuda/elementwise.cu 'bf16 - mlp' 'gate and value change places' \
    'value[j] *= gate[j] * sigmoid<Act>(gate[j]);' \
    'value[j] = gate[j] * value[j] * sigmoid<Act>(value[j]);'
mutant swiglu-slope $cuda/elementwise.cu 'fp32 - mlp' 'the slope of SwiGLU has a wrong sign' \
    's * (1.0f + g * (1.0f - s))' 's * (1.0f - g * (1.0f - s))'
mutant swiglu-row $cuda/elementwise.cu 'fp32 - mlp' 'rows of gate and value are half as far apart' \
    'cuda_quotient(i, row) * row.by) * W;' 'cuda_quotient(i, row) * (row.by / 2)) * W;'
mutant swiglu-value $cuda/elementwise.cu 'bf16 - mlp' 'the gradient of the value goes to the neighbour' \
    'store<Act, W>(to + (size_t)row.by * W, value);' 'store<Act, W>(to + (size_t)(row.by - 1) * W, value);'
mutant swiglu-divisor $cuda/elementwise.cu 'fp32 - mlp' 'rows are counted in elements instead of accesses' \
    $'dgv + n * 2 * F, dout + n * F,\n                           gv + n * 2 * F, (uint32_t)accesses, cuda_divisor_of(F / W)' \
    $'dgv + n * 2 * F, dout + n * F,\n                           gv + n * 2 * F, (uint32_t)accesses, cuda_divisor_of(F)'
mutant divisor-magic "$cuda/launch.cuh $cuda/elementwise.cu" 'bf16 - mlp' 'the factor of a division is rounded down' \
    '(power + (uint64_t)by - 1) / (uint64_t)by)' 'power / (uint64_t)by)'

# ---- classifier ----
mutant loss-target $cuda/classifier.cu 'fp32 - classifier' 'the target is off by one' \
    'v + j == target ?' 'v + j == target + 1 ?'
mutant loss-barrier $cuda/classifier.cu 'fp32 - classifier' 'the target is overwritten before it is read' \
    '__syncthreads(); /* the target' '/* the target'
mutant loss-reduce-barrier $cuda/classifier.cu 'bf16 - classifier' 'sums of warps are read before they are there' \
    $'    __syncthreads();\n    s = shared[0];' $'    s = shared[0];'
mutant loss-tail $cuda/classifier.cu 'fp32 - classifier' 'the tail of an odd vocabulary is left out' \
    $'v = whole + (int)threadIdx.x; v < V; v += THREADS) {\n        softmax_state' \
    $'v = whole + (int)threadIdx.x; v < V - 1; v += THREADS) {\n        softmax_state'
mutant loss-kept-wait $cuda/classifier.cu 'bf16 - classifier' 'a row is used before it has arrived' \
    'ptx_cp_async_wait<0>(); /*' 'ptx_cp_async_wait<1>(); /*'
mutant loss-kept-tail $cuda/classifier.cu 'fp32 - classifier' 'the tail of an odd vocabulary is not kept' \
    $'v < V; v += THREADS) {\n        kept[v] = row[v];' $'v < V - 1; v += THREADS) {\n        kept[v] = row[v];'
mutant loss-kept-bytes $cuda/classifier.cu 'bf16 - classifier' 'room for the whole accesses of a row alone' \
    '(a.V * (int64_t)sizeof(Act) + 15) / 16 * 16' 'a.V * (int64_t)sizeof(Act) / 16 * 16'
mutant loss-kept-column $cuda/classifier.cu 'fp32 - classifier' 'an access is kept where its neighbour belongs' \
    'ptx_cp_async_16(kept + v, row + v, true);' 'ptx_cp_async_16(kept + v, row + (v + W) % whole, true);'
mutant loss-first $cuda/classifier.cu 'bf16 - classifier' 'each chunk overwrites the gradient' \
    'dwte.accumulate = !k.first;' 'dwte.accumulate = false;'
mutant loss-stride $cuda/classifier.cu 'fp32 - classifier' 'the gradient of the padding is not cleared' \
    'row[v] = from_float<Act>(0.0f);' 'row[v] = from_float<Act>(1.0f);'

# ---- optimiser ----
mutant adamw-tail $cuda/optimizer.cu 'fp32 - optimizer' 'the last elements are left out' \
    'i = whole + grid_index(); i < a.n; i += grid_size()) {' \
    'i = whole + grid_index(); i < a.n - 1; i += grid_size()) {'
mutant adamw-square $cuda/optimizer.cu 'fp32 - optimizer' 'v sums gradients, not their squares' \
    'f.rest2 * g * g' 'f.rest2 * g'
mutant adamw-eps $cuda/optimizer.cu 'fp32 - optimizer' 'eps inside the root' \
    'sqrtf(v * f.square_scale) + f.eps' 'sqrtf(v * f.square_scale + f.eps)'
mutant adamw-narrow $cuda/optimizer.cu 'bf16 - optimizer' 'the compute copy is one step behind' \
    'store<bf16, W>(a.narrow + i, p);' 'store<bf16, W>(a.narrow + i, m);'
mutant sum-barrier $cuda/optimizer.cu 'fp32 - optimizer' 'sums of warps are read before they are there' \
    $'    __syncthreads();\n    double total = 0;' $'    double total = 0;'
mutant sum-partials $cuda/optimizer.cu 'fp32 - optimizer' 'a partial sum is dropped' \
    'i < THREADS / 32; i++) {' 'i < THREADS / 32 - 1; i++) {'

mutant adamw-clip $cuda/optimizer.cu 'fp32 - optimizer' 'the gradient is not clipped' \
    'norm > p.grad_clip ? p.grad_clip / norm : 1' '1'
mutant adamw-nan $cuda/optimizer.cu 'fp32 - device' 'a loss that is not finite updates all the same' \
    'loss == nullptr || isfinite(*loss)' '1'
mutant adamw-bias $cuda/optimizer.cu 'fp32 - optimizer' 'the bias correction is one step late' \
    'pow(p.beta2, p.step)' 'pow(p.beta2, p.step + 1)'

# ---- a step that waits for nothing ----
mutant stage-order $cuda/cuda_step.cu 'fp32 - device' 'a batch is used before it has arrived' \
    'cudaStreamWaitEvent(dev->stream, entry->arrived, 0)' 'cudaSuccess'
mutant stage-reuse $cuda/cuda_step.cu 'fp32 - device' 'pinned memory is overwritten before it was sent' \
    'if (entry->busy) {' 'if (false) {'
mutant results-slot $cuda/cuda_step.cu 'fp32 - device' 'results are taken from the wrong place' \
    'memcpy(values, slot_values(step, step->first)' 'memcpy(values, slot_values(step, 0)'

# ---- rotary positions ----
mutant rope-sign $cuda/rope.cu 'fp32 - qk_rope' 'the rotation turns the other way' \
    'u1[j] = x1 * cosine[j] + x2 * sine[j];' 'u1[j] = x1 * cosine[j] - x2 * sine[j];'
mutant rope-back-sign $cuda/rope.cu 'bf16 - qk_rope' 'the gradient turns the other way' \
    'd2[j] = e1 * sine[j] + e2 * cosine[j];' 'd2[j] = e2 * cosine[j] - e1 * sine[j];'
mutant rope-position $cuda/rope.cu 'fp32 - qk_rope' 'positions go on over the sequences of a batch' \
    't = a.position + n;' 't = a.position + n + n / a.T.by;'
mutant rope-table $cuda/rope.cu 'fp32 - device' 'a table of another width is used again' \
    'if (dev->rope_D == D && dev->rope_T >= T)' 'if (dev->rope_D > 0 && dev->rope_T >= T)'
mutant rope-heads $cuda/rope.cu 'fp32 - qk_rope' 'two heads are swapped' \
    'p.offset = n * a.stride + (int64_t)h * a.D;' \
    'p.offset = n * a.stride + (int64_t)(h < 2 && a.normed.by > 1 ? 1 - h : h) * a.D;'
mutant rope-once $cuda/rope.cu 'bf16 - qk_rope' 'a lane keeps one access of the two that it has' \
    'a.D / 2 <= 32 * W;' 'a.D / 2 <= 64 * W;'
mutant rope-kept $cuda/rope.cu 'bf16 - qk_rope' 'a lane keeps the access of its neighbour' \
    'load_pairs(&pairs, x, p.lane * W, half);' 'load_pairs(&pairs, x, (p.lane ^ 1) * W % half, half);'
mutant rope-lanes-bits $cuda/rope.cu 'fp32 - qk_rope' 'lanes of a head and heads of a warp disagree' \
    'const uint32_t index = grid_index_32() >> a.lane_bits;' \
    'const uint32_t index = grid_index_32() >> (a.lane_bits > 0 ? a.lane_bits - 1 : 0);'
mutant rope-norm-mean $cuda/rope.cu 'fp32 - qk_rope' "the norm's gradient misses the mean" \
    'inv * (d1[j] - y1[j] * mean)' 'inv * d1[j]'
mutant rope-lanes $cuda/rope.cu 'bf16 - qk_rope' 'the sum over a head leaves out half of its lanes' \
    'int offset = lanes / 2; offset > 0;' 'int offset = lanes / 4; offset > 0;'

# ---- attention, fp32 ----
common="$cuda/attention_common.cuh"
mutant attention-mask "$common $fp32" 'fp32 - attention' 'a query sees the key behind it' \
    'return j <= i &&' 'return j <= i + 1 &&'
mutant attention-window "$common $fp32" 'fp32 - attention' 'the window is one key short' \
    '(window == 0 || i - j <= window)' '(window == 0 || i - j < window)'
mutant attention-heads "$common $fp32" 'fp32 - attention' 'query heads take the wrong key head' \
    'int kv = h / (a.H / a.K);' 'int kv = h % a.K;'
mutant attention-scale "$common $fp32" 'fp32 - attention' 'scores are scaled by 1/D' \
    '1 / sqrt((double)D)' '1 / (double)D'
mutant attention-first-tile "$common $fp32" 'fp32 - attention' 'the first tile of a window is left out' \
    'q0 > window ? q0 - window : 0) / tile;' 'q0 > window ? q0 - window + tile : 0) / tile;'
mutant attention-barrier $fp32 'fp32 - attention' 'V overwrites K while it is read' \
    $'        __syncthreads(); /* K has been used, p is there */\n' ''
mutant attention-correction $fp32 'fp32 - attention' 'earlier sums are not rescaled' \
    'acc[i] *= correction;' 'acc[i] *= 1;'
mutant attention-lse $fp32 'fp32 - attention' 'log-sum-exp misses the maximum' \
    '= top + logf(total);' '= logf(total);'
mutant attention-group $fp32 'fp32 - attention' "a key's gradient comes from one query head of its group" \
    'i < group * (last - first + 1); i++' 'i < (last - first + 1); i++'
mutant attention-delta $fp32 'fp32 - attention' 'delta is not summed over the row' \
    'delta = row_sum(delta);' ''

# ---- attention, bf16 on tensor cores ----
mma="$cuda/attention_mma.cuh"
mutant flash-mask "$mma $forward" 'bf16 - attention' 'columns of a fragment are masked as their neighbours' \
    '(k0 + lane % 4 * 2 + e % 2);' '(k0 + lane % 4 * 2 + e / 2);'
mutant flash-window "$mma $forward" 'bf16 - attention' 'the window ends one key early' \
    '(unsigned)(ahead - 8 * j) <= limit' '(unsigned)(ahead - 8 * j) < limit'
mutant flash-stage $forward 'bf16 - attention' 'a stage is overwritten while it is read' \
    $'        __syncthreads(); /* the next step overwrites this stage */\n' ''
mutant flash-wait $forward 'bf16 - attention' 'a tile is read before it has arrived' \
    $'        ptx_cp_async_commit();\n        ptx_cp_async_wait<1>();' \
    $'        ptx_cp_async_commit();\n        ptx_cp_async_wait<2>();'
mutant flash-correction $forward 'bf16 - attention' 'the two rows of a lane change factors' \
    'acc[i][n][e] *= correction[e / 2];' 'acc[i][n][e] *= correction[e % 2];'
mutant flash-total "$mma $forward" 'bf16 - attention' 'the sum of a row forgets earlier tiles' \
    'total[half] = total[half] * correction[half] + sum;' 'total[half] = sum;'
mutant flash-fragment "$mma $forward" 'bf16 - attention' 'halves of an operand change places' \
    $'a[i][1] = ptx_pack_bf16x2(p[i][2 * k][2], p[i][2 * k][3]);' \
    $'a[i][1] = ptx_pack_bf16x2(p[i][2 * k][3], p[i][2 * k][2]);'
mutant flash-tail "$mma $forward" 'bf16 - attention' 'rows behind the end are written' \
    'if (row0 + r < T && col0 + c < D) {' 'if (row0 + r < T + 1 && col0 + c < D) {'
mutant flash-quad "$mma $forward" 'bf16 - attention' 'a row sum leaves out two lanes of four' \
    'return x + __shfl_xor_sync(0xffffffffu, x, 2);' 'return x;'

# ---- attention for compute capability 9.0 ----
hopper="$cuda/attention_hopper_forward.cu"
queries="$cuda/attention_hopper_backward_queries.cu"
keys="$cuda/attention_hopper_backward_keys.cu"
ring="$cuda/attention_hopper.cuh"
mutant hopper-swizzle "$ring $hopper" 'bf16 hopper attention' 'tiles are not swizzled' \
    '(piece ^ first % 8) * 16' 'piece * 16'
mutant hopper-lead "$ring $hopper" 'bf16 hopper attention' 'the second 64 columns of V are looked for in the middle of the first' \
    'tiles::bn * SWIZZLE_ROW_BYTES, SWIZZLE_ATOM_BYTES' '64 * SWIZZLE_ROW_BYTES, SWIZZLE_ATOM_BYTES'
mutant hopper-proxy "$ring $hopper" 'bf16 hopper attention' 'the tensor cores are not told of the copies' \
    $'        ptx_fence_proxy_async();\n' ''
mutant hopper-fence $hopper 'bf16 hopper attention' 'products may read registers that are not yet written' \
    $'        ptx_hold(acc);\n        ptx_wgmma_fence();\n        hopper_scores' \
    $'        ptx_hold(acc);\n        hopper_scores'
mutant hopper-scores $hopper 'bf16 hopper attention' 'scores are used before they are there' \
    'ptx_wgmma_wait<1>();' 'ptx_wgmma_wait<2>();'
mutant hopper-slot $hopper 'bf16 hopper attention' 'V is given back while it is read' \
    $'        ring.wait(at + 3);\n' $'        ring.wait(at + 3);\n        ring.give_back(at + 1);\n'
mutant hopper-key-wait $hopper 'bf16 hopper attention' 'K is not waited for' \
    $'        ring.wait(at + 2); /* K of this tile */\n' ''
mutant hopper-query-wait $hopper 'bf16 hopper attention' 'Q is not waited for' \
    $'        ptx_mbarrier_wait(shared.own_full, (unsigned)n % 2);\n' ''
mutant hopper-phase $hopper 'bf16 hopper attention' 'the producer waits for the wrong phase' \
    'at / slots % 2 ^ 1' 'at / slots % 2'
mutant hopper-packed $hopper 'bf16 hopper attention' 'weights are packed over those that a product reads' \
    $'        ptx_hold(s);\n        /* V of' $'        hopper_pack<bn>(p, s);\n        /* V of'
mutant hopper-correction $hopper 'bf16 hopper attention' 'the two rows of a lane change factors' \
    'acc[n][e] *= correction[e / 2];' 'acc[n][e] *= correction[e % 2];'
mutant hopper-skip $hopper 'bf16 hopper attention' 'a warpgroup starts at the tile of its neighbour' \
    $'row0, first, last,\n                               at + 2 * (e.last - last), acc' \
    $'row0, first, last,\n                               at, acc'

# ---- its gradients: of the queries ----
mutant hopper-dq-fence $queries 'bf16 hopper attention' 'products may read factors that are not yet written' \
    $'        ptx_wgmma_fence();\n        hopper_values' $'        hopper_values'
mutant hopper-dq-fence-early $queries 'bf16 hopper attention' 'the gradient of scores is packed behind the fence' \
    $'        hopper_pack<bn>(factor, ds);\n        if (tile == last) {\n            break;\n        }\n        ring.wait(slot + 1);\n        ptx_hold(s);\n        ptx_hold(ds);\n        ptx_hold(factor);\n        ptx_hold(dq);\n        ptx_wgmma_fence();\n' \
    $'        ptx_wgmma_fence();\n        hopper_pack<bn>(factor, ds);\n        if (tile == last) {\n            break;\n        }\n        ring.wait(slot + 1);\n'
mutant hopper-dq-scores $queries 'bf16 hopper attention' 'scores are used before they are there' \
    'ptx_wgmma_wait<1>(); /* S' 'ptx_wgmma_wait<2>(); /* S'
mutant hopper-dq-dp $queries 'bf16 hopper attention' 'dout V^T is used before it is there' \
    $'        ptx_wgmma_wait<0>();\n        ptx_hold(ds);' $'        ptx_wgmma_wait<1>();\n        ptx_hold(ds);'
mutant hopper-dq-slot $queries 'bf16 hopper attention' 'K is given back while it is read' \
    $'        ptx_wgmma_wait<1>(); /* S, and dQ of the tile before */\n        ptx_hold(s);\n        ptx_hold(dq);\n        ptx_hold(factor);\n        if (tile > first) {\n            ring.give_back(slot - 1);\n        }\n' \
    $'        if (tile > first) {\n            ring.give_back(slot - 1);\n        }\n        ptx_wgmma_wait<1>();\n'
mutant hopper-dq-wait $queries 'bf16 hopper attention' 'the next K and V are not waited for' \
    $'        ring.wait(slot + 1);\n' ''
mutant hopper-dq-own $queries 'bf16 hopper attention' 'dout is given back before the last product has read it' \
    '{dout_tile, 64 * group, warp0},' '{(hopper_arrive(shared.own_empty), dout_tile), 64 * group, warp0},'
mutant hopper-dq-own-phase $queries 'bf16 hopper attention' 'the queries of the entry before are taken' \
    $'        query_rows<tiles> rows(a, head, dout_tile, e.q0, warp0);\n        ptx_mbarrier_wait(shared.own_full, (unsigned)n++ % 2);' \
    $'        query_rows<tiles> rows(a, head, dout_tile, e.q0, warp0);\n        n++;'
mutant hopper-dq-group $queries 'bf16 hopper attention' 'every warpgroup takes the first one'"'"'s dout' \
    '{dout_tile, 64 * group, warp0},' '{dout_tile, 0, warp0},'
mutant hopper-dq-dot $queries 'bf16 hopper attention' 'delta reads dout as if it were not swizzled' \
    '(piece ^ place % 8) * 16' 'piece * 16'
mutant hopper-dq-quad $queries 'bf16 hopper attention' 'delta is not summed over the row' \
    'delta[half] = quad_sum(sum);' 'delta[half] = sum;'
mutant hopper-dq-half $queries 'bf16 hopper attention' 'dout meets K, not V' \
    'ptx_wgmma_advance(slot, tiles::slot_bytes / 2)' 'slot'
mutant hopper-dq-fragments "$ring $queries $keys" 'bf16 hopper attention' 'own rows are read as if they were not swizzled' \
    '(piece ^ row % 8) * 16' 'piece * 16'
mutant hopper-dq-column "$ring $queries $keys" 'bf16 hopper attention' 'columns of the tile stay those of the first product' \
    'tiles::bn * SWIZZLE_ROW_BYTES + i % 4 * 32);' 'tiles::bn * SWIZZLE_ROW_BYTES);'
mutant hopper-dq-skip $queries 'bf16 hopper attention' 'a warpgroup starts at the tile of its neighbour' \
    'dq, first, last, at + (first - e.first));' 'dq, first, last, at);'
mutant hopper-dq-tail $queries 'bf16 hopper attention' 'tiles behind the diagonal are not given back' \
    $'        ring.skip(at + (last - e.first + 1), e.last - last);\n' ''
mutant hopper-dq-scale $queries 'bf16 hopper attention' 'the gradient misses the scale' \
    'dq, scale.factor, scale.factor);' 'dq, 1, 1);'

# ---- of keys and values ----
mutant hopper-dk-fence $keys 'bf16 hopper attention' 'products may read factors that are not yet written' \
    $'    ptx_wgmma_fence();\n    hopper_values<tiles>(dv' $'    hopper_values<tiles>(dv'
mutant hopper-dk-scores $keys 'bf16 hopper attention' 'scores are used before they are there' \
    "ptx_wgmma_wait<1>(); /* S'" "ptx_wgmma_wait<2>(); /* S'"
mutant hopper-dk-dp $keys 'bf16 hopper attention' 'V dout^T is used before it is there' \
    "ptx_wgmma_wait<0>(); /* dP' */" "ptx_wgmma_wait<1>(); /* dP' */"
mutant hopper-dk-slot $keys 'bf16 hopper attention' 'Q and dout are given back while the sums read them (head_dim 64)' \
    $'        ptx_wgmma_wait<1>(); /* S\', and, where overlapped, dV and dK of the tile before */\n        ptx_hold(s);\n        ptx_hold(dv);\n        ptx_hold(dk);\n        ptx_hold(p_factor);\n        ptx_hold(ds_factor);\n        if (tiles::overlapped && tile > first) {\n            ring.give_back(slot - 1);\n        }\n' \
    $'        if (tiles::overlapped && tile > first) {\n            ring.give_back(slot - 1);\n        }\n        ptx_wgmma_wait<1>();\n'
mutant hopper-dk-slot-wide $keys 'bf16 hopper attention' 'Q and dout are given back while the sums read them (head_dim 128)' \
    $'            key_sums_wait<tiles>(dv, dk, p_factor, ds_factor);\n            ring.give_back(slot);\n            ring.wait(slot + 1);\n' \
    $'            ring.give_back(slot);\n            ring.wait(slot + 1);\n            key_sums_wait<tiles>(dv, dk, p_factor, ds_factor);\n'
mutant hopper-dk-sums $keys 'bf16 hopper attention' 'the last sums are written before they are there' \
    $'    ptx_wgmma_wait<0>();\n    ptx_hold(dv);' $'    ptx_wgmma_wait<1>();\n    ptx_hold(dv);'
mutant hopper-dk-values $keys 'bf16 hopper attention' 'log-sum-exp comes from the first slot' \
    'values + slot % tiles::slots * (2 * bn);' 'values;'
mutant hopper-dk-delta $keys 'bf16 hopper attention' 'log-sum-exp is taken for delta' \
    'key_gradients<false, bn>(ds, s, lse + bn);' 'key_gradients<false, bn>(ds, s, lse);'
mutant hopper-dk-ragged $keys 'bf16 hopper attention' 'values behind the last query are not zero' \
    'from, query < a.T);' 'from, true);'
mutant hopper-dk-head $keys 'bf16 hopper attention' "every head of a group is the first one" \
    '(hopper_fresh<dim>(a), e.b, h);' '(hopper_fresh<dim>(a), e.b, e.h0);'
mutant hopper-dk-own $keys 'bf16 hopper attention' 'K and V are not waited for' \
    $'        ptx_mbarrier_wait(shared.own_full, (unsigned)n++ % 2);\n' $'        n++;\n'
mutant hopper-dk-own-empty $keys 'bf16 hopper attention' 'the producer does not wait for the place of K and V' \
    $'ptx_mbarrier_wait(shared.own_empty, (unsigned)n % 2 ^ 1);' ''
mutant hopper-dk-half $keys 'bf16 hopper attention' 'V meets Q, not dout' \
    'hopper_scores<tiles>(ds, v.factor, ptx_wgmma_advance(slot, tiles::slot_bytes / 2));' 'hopper_scores<tiles>(ds, v.factor, slot);'
mutant hopper-dk-skip $keys 'bf16 hopper attention' 'a warpgroup starts at the tile of its neighbour' \
    'dv, first, last, at + (first - e.first));' 'dv, first, last, at);'
mutant hopper-dk-tail $keys 'bf16 hopper attention' "tiles behind the window are not given back" \
    $'            ring.skip(at + (last - e.first + 1), e.last - last);\n' ''
mutant hopper-dk-phase $keys 'bf16 hopper attention' 'the producer waits for the wrong phase' \
    'at / slots % 2 ^ 1' 'at / slots % 2'
mutant hopper-dk-scale $keys 'bf16 hopper attention' "the keys' gradient misses the scale" \
    $'dk, scale,\n                         scale);' $'dk, 1,\n                         1);'

# ---- attention, bf16 on tensor cores: gradients ----
gradients="$cuda/attention_gradients.cuh"
mutant hopper-dq-mask "$gradients $queries" 'bf16 hopper attention' 'a query sees the key behind it' \
    '!attention_sees(row, key, window) ? 0 : x;' '!attention_sees(row + 1, key, window) ? 0 : x;'
mutant flash-dq-mask "$gradients $backward" 'bf16 - attention' 'a query sees the key behind it' \
    '!attention_sees(row, key, window) ? 0 : x;' '!attention_sees(row + 1, key, window) ? 0 : x;'
mutant flash-dq-delta "$gradients $backward" 'bf16 - attention' 'the two rows of a lane change deltas' \
    ': p[j][e] * (ds[j][e] - delta[e / 2]);' ': p[j][e] * (ds[j][e] - delta[e % 2]);'
mutant flash-dq-scale $backward 'bf16 - attention' "the queries' gradient misses the scale" \
    'a.D, dq[0], scale, scale);' 'a.D, dq[0], 1, 1);'
mutant flash-part $backward 'bf16 - attention' 'both halves of wide heads go to the first' \
    'part * width, a.D, dk[0], scale,' '0, a.D, dk[0], scale,'
mutant flash-delta "$gradients $backward" 'bf16 - attention' 'delta of the neighbour is subtracted' \
    'const float of = e % 2 ? d.y : d.x;' 'const float of = e % 2 ? d.x : d.y;'
mutant flash-keys-mask "$gradients $backward" 'bf16 - attention' 'the mask of keys is transposed' \
    '!attention_sees(query, key, window) ? 0 : x;' '!attention_sees(key, query, window) ? 0 : x;'
mutant flash-keys-head $backward 'bf16 - attention' "a head of a group meets another one's gradient" \
    $'a.dout + head.out_at,\n                                          (int64_t)a.H * a.D, q0' \
    $'a.dout + first_head.out_at,\n                                          (int64_t)a.H * a.D, q0'
mutant flash-lse-bits "$gradients $backward" 'bf16 - attention' 'log-sum-exp is taken in the wrong base' \
    '-LOG2_E * (e % 2 ? shift.y : shift.x)' '-1.0f * (e % 2 ? shift.y : shift.x)'
