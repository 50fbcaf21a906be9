//go:build !purego

#include "textflag.h"

// func productsAVX2(products []int32, rows []int, codes []byte, query []int16)
TEXT ·productsAVX2(SB), NOSPLIT, $0-96
	MOVQ  products_base+0(FP), DI
	MOVQ  rows_base+24(FP), SI
	MOVQ  rows_len+32(FP), CX
	MOVQ  codes_base+48(FP), R8
	MOVQ  query_base+72(FP), R9
	MOVQ  query_len+80(FP), R10
	TESTQ CX, CX
	JZ    done

row:
	MOVQ  (SI), AX
	IMULQ R10, AX
	ADDQ  R8, AX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	XORQ  BX, BX

codes: // 32 bytes, widened to 16 bits, by 32 values of the query, to sixteen sums of 32 bits
	VPMOVZXBW (AX)(BX*1), Y2
	VPMOVZXBW 16(AX)(BX*1), Y3
	VPMADDWD  (R9)(BX*2), Y2, Y2
	VPMADDWD  32(R9)(BX*2), Y3, Y3
	VPADDD    Y2, Y0, Y0
	VPADDD    Y3, Y1, Y1
	ADDQ      $32, BX
	CMPQ      BX, R10
	JLT       codes

	// to one sum
	VPADDD       Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0x4E, X0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0xB1, X0, X1
	VPADDD       X1, X0, X0
	VMOVD        X0, (DI)

	ADDQ $8, SI
	ADDQ $4, DI
	DECQ CX
	JNZ  row

done:
	VZEROUPPER
	RET
