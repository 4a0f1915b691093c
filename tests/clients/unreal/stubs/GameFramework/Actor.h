#pragma once
#include "CoreMinimal.h"

class AActor
{
public:
	template <class T> void GetComponents(TArray<T*>&) const {}
};
